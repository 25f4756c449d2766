"""Where specimens and their vectors live: one protocol, and Qdrant embedded or on a server behind it."""
