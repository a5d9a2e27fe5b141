"""Monitoring: windows of the prediction log against the reference in the package, and what follows from them."""
