"""Folders of photographs that an index hands out."""
