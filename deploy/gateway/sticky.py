"""What keeps a caller on one side of a split: what a request is hashed by, and the cookie that its caller is given.

Envoy itself sets a cookie only where it hashes for a host, never where it hashes for a weight. So a caller who shows
nothing is hashed by the request's id, and that id is the cookie: shown the next time, it hashes to the same side.
"""

import re
from typing import Any

from flywheel.serving import Sticky

REQUEST_ID = "x-request-id"
# What may stand in a cookie as it is; a client may send an id of its own.
PLAIN = r"[A-Za-z0-9._-]+"


def hash_policy(sticky: Sticky) -> list[dict[str, Any]]:
    """Hash the first of these that a request has; a request without any is split at random."""
    found: list[dict[str, Any]] = []
    if sticky.header:
        found.append({"header": {"header_name": sticky.header}, "terminal": True})
    if sticky.cookie:
        found.append({"cookie": {"name": sticky.cookie}, "terminal": True})
        found.append({"header": {"header_name": REQUEST_ID}})
    return found


def without_cookie(sticky: Sticky) -> list[dict[str, Any]]:
    """Match the headers of a request whose caller is to get a cookie."""
    held = {"safe_regex": {"regex": rf"(.*;)?\s*{re.escape(sticky.cookie or '')}=[^;]+.*"}}
    shown = {"name": "cookie", "string_match": held, "invert_match": True, "treat_missing_header_as_empty": True}
    unit = [{"name": sticky.header, "present_match": False}] if sticky.header else []
    return [*unit, shown, {"name": REQUEST_ID, "string_match": {"safe_regex": {"regex": PLAIN}}}]


def set_cookie(sticky: Sticky, *, secure: bool) -> dict[str, Any]:
    """Return the header that gives the cookie: no script reads it, and with TLS it goes over nothing else."""
    parts = [f"{sticky.cookie}=%REQ({REQUEST_ID})%", "Path=/", f"Max-Age={sticky.cookie_seconds}", "HttpOnly"]
    parts += ["SameSite=Lax", *(["Secure"] if secure else [])]
    return {"header": {"key": "set-cookie", "value": "; ".join(parts)}}
