"""Servers of other makers, each doing the same work in an environment of its own. They import nothing of Flywheel."""
