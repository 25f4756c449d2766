"""Which cluster is which over time, and what people decide of it: kernels, like `clustering`."""
