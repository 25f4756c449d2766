"""What a photograph shows, and how near is near enough to say so."""
