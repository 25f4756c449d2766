"""What the calls of `Index` return. The field names are those of the JSON that the command line prints."""
