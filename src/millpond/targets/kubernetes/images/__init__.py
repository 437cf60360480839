"""Images: what a component runs as a Dockerfile, its context and a name; building and pushing them."""
