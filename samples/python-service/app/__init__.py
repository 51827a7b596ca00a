"""A small address service, of Python's standard library alone."""
