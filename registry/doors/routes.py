"""The routes that the server really has: Flask's and, before them, the native ones of its ASGI app."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flask import Flask
from starlette.routing import BaseRoute, Mount, compile_path
from starlette.types import Scope

from registry.doors.census import SAFE_METHODS, template

WEBSOCKET = "WEBSOCKET"  # stands in a method's place


@dataclass(frozen=True)
class Route:
    """One native route: how it matches, its methods, and its path as the census writes it."""

    pattern: re.Pattern[str]
    methods: frozenset[str]
    template: str


class NativeRoutes:
    """The native routes in the order in which the router asks them."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self.routes = [_route(found) for found in _leaves(routes)]
        # Most requests are Flask's: one comparison of strings says so.
        self._starts = tuple({route.template.split("{")[0] for route in self.routes})

    def find(self, scope: Scope) -> str | None:
        """Return the template of the native route that answers a request; None when Flask gets it.

        Where only the path fits, the router prefers Flask, which is mounted behind all of them.
        """
        path = scope["path"]
        if not path.startswith(self._starts):
            return None
        method = scope.get("method", WEBSOCKET)
        fitting = (route for route in self.routes if method in route.methods and route.pattern.match(path))
        return next((route.template for route in fitting), None)


def flask_routes(app: Flask) -> set[tuple[str, str]]:
    """Return method and template of every rule of Flask's."""
    found = {(method, template(rule.rule)) for rule in app.url_map.iter_rules() for method in rule.methods or ()}
    return {(method, path) for method, path in found if method not in SAFE_METHODS or method == "GET"}


def _leaves(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    for route in routes:
        if hasattr(route, "effective_candidates"):  # how FastAPI keeps a router that was included
            yield from _leaves(route.effective_candidates())
        elif not isinstance(route, Mount):  # the one mount is Flask
            yield route


def _route(found: BaseRoute) -> Route:
    path = str(getattr(found, "path", ""))
    methods = frozenset(getattr(found, "methods", None) or {WEBSOCKET})
    return Route(compile_path(path)[0], methods, template(path))
