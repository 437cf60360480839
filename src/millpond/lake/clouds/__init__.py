"""Stores of other clouds, through fsspec."""
