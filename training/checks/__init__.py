"""Data contracts: what training rows must keep to, what happens to those that do not, and the page that says so."""
