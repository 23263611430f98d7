"""A product catalogue: read from a file, found by its attributes and its words, compared."""
