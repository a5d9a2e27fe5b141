"""Retraining: whether one may start, on which data, and the process that does it."""
