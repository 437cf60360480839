"""Flavours: the files that name platforms. Shipped ones, and how a project's own is found and read."""
