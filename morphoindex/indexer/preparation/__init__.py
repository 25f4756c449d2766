"""Photographs of every kind made into pictures of one size and format, before there is an index."""
