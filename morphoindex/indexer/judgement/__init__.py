"""How good clusters are, by vectors and by labels, beside those of other methods."""
