"""Samples and splits."""
