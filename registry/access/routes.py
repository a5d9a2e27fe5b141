"""Routes of this room; `registry.app` adds them."""

from flask import Flask


def add_routes(app: Flask) -> None:
    """Add them; call it before MLflow's login is added, which then guards them."""
