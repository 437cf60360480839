"""The monitor: the prediction log made into events in the lake, and into answers about deployments.

One process for a whole platform. It never stands between a client and a model: it reads what model
servers have written, and everything that it says can be computed again from the lake.
"""
