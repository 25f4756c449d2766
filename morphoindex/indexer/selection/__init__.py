"""Selection kernels: arrays in, arrays out, no I/O."""
