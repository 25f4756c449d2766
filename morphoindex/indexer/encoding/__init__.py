"""From pixels to unit vectors: encoder files, the machine that runs them, and one file read and embedded."""
