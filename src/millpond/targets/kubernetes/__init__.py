"""The target kubernetes: a platform as objects of a cluster's API."""
