"""The same twice: near-duplicates, and encounters of one animal."""
