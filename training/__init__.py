"""From raw rows to a registered version: sources, checks, splits, search, families, evaluate, package."""
