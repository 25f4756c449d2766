"""What people tell of specimens: labels, captures, and the names that come of these."""
