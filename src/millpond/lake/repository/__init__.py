"""Versioned repositories in the lake: branches, commits and tags, over any store with conditional writes."""
