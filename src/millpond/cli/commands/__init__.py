"""One module per command or small family; each is imported only when it is called."""
