"""Skew: does what is served agree with what was trained, row by row, and are inputs as fresh and complete as then."""
