"""How pages are answered: templates that escape everything, and headers that let a browser run our own script alone."""

import secrets
from pathlib import Path
from typing import Any

from flask import Response, make_response, request
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from registry.caller import caller
from registry.review.formats import FILTERS
from registry.review.wording import need

PREFIX = "/flywheel/review"
PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
PAGES.filters.update(FILTERS, need=need)


def page(template: str, status: int, **context: Any) -> Response:
    """Answer with a page for whoever is logged in; its own style and script carry a nonce, and nothing else runs."""
    nonce = secrets.token_urlsafe(16)
    known = {"viewer": caller(), "root": request.script_root, "prefix": PREFIX, "nonce": nonce}
    response = make_response(text(template, **known, **context), status)
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; img-src 'self' data:; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    return response


def text(template: str, **context: Any) -> str:
    """Return a template as text; of a file that nobody asked for in a request."""
    return PAGES.get_template(template).render(**context)


def missing(status: int, sentence: str) -> Response:
    """Answer with a page that says what is not there."""
    return page("missing.html", status, sentence=sentence.rstrip("."))
