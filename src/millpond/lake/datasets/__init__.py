"""Datasets: what is in the lake, told so that somebody else can find and use it."""
