"""Profiles: what rows looked like, block by block, kept small, mergeable and without the rows."""
