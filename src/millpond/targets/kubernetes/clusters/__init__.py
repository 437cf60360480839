"""Clusters for the target kubernetes, made on this machine by their own tools."""
