"""Runs of a clustering, what people decide about clusters, and how these are shown."""
