"""Envoy: what it is told, as documents made from typed objects, and what it says of itself."""
