"""A sample collection to try the index on, drawn with a truth that is known (`morphoindex demo`)."""

from morphoindex.demo.collection import Collection, draw_collection

__all__ = ["Collection", "draw_collection"]
