"""Kinds of models: what may be searched, by name, by entry point, or from a file beside the use case."""
