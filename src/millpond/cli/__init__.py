"""The command line: commands that ask the layers below and show what they say; they decide nothing."""
