"""Photographs, and vectors made elsewhere, into the index."""
