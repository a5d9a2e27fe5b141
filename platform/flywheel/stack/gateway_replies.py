"""What Envoy itself refuses, said in one sentence and in the form of the protocol that was spoken.

A gRPC caller gets a status and the sentence as its message; V2's paths `{"error": sentence}`; all others what an agent
says there, `{"error": {"field", "rule", "message", "row"}}`. What routes and doorman refuse is put into these forms.
"""

from typing import Any

V2_PATH = r"(/[^/?]+)?/v2([/?].*)?"
# The rule that a refusal of a status breaks, as an agent names its own.
RULES = {
    400: "http",
    401: "auth",
    403: "auth",
    404: "path",
    408: "deadline",
    413: "size",
    429: "limit",
    502: "gateway",
    503: "gateway",
    504: "deadline",
}
# A 5xx of the doorman itself, as when the database is gone for too long, reaches Envoy as a status without a text.
MUTE = (
    "Who asks cannot be checked now: the gateway's doorman does not answer, or has not reached the database for longer "
    "than tokens are trusted. Try again shortly."
)
# What Envoy says by itself, by status; None: the text that is there already is a sentence of a route.
SENTENCES: dict[int, str | None] = {
    400: "The gateway cannot read this request. Check its path and headers.",
    401: "Not let in: show a valid JSON Web Token as 'authorization: Bearer ...'.",
    403: "Not let in: this JSON Web Token is not meant for this gateway, or does not name a client.",
    404: None,
    408: "The request did not come whole in time. Send it faster, or less at once.",
    413: None,
    429: "Too many requests of this client. Wait as long as Retry-After says (seconds).",
    502: "The version that was asked broke the connection. Try again.",
    503: "No version of this use case answers now, or the gateway has no memory left. Try again shortly.",
    504: "No version of this use case answered in time. Try again, or send less.",
}
GRPC = {"header_filter": {"header": {"name": "content-type", "string_match": {"prefix": "application/grpc"}}}}
GRPC_STATUS = {408: 4, 413: 8, 429: 8}  # DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED
V2 = {"header_filter": {"header": {"name": ":path", "string_match": {"safe_regex": {"regex": V2_PATH}}}}}
# A route refuses a body whose length is announced, in a sentence with the limit; one without is cut off by the buffer.
UNANNOUNCED = {"header_filter": {"header": {"name": "content-length", "present_match": False}}}
TOO_LONG = "The body is larger than this use case takes. Send less."
DOORMANS = {"response_flag_filter": {"flags": ["UAEX"]}}


def local_replies() -> dict[str, Any]:
    """Return the mappers, of which the first that matches is taken."""
    mappers = _forms(413, RULES[413], TOO_LONG, [UNANNOUNCED])
    for status, rule in RULES.items():
        # The doorman's refusals are sentences already, unless it does not answer at all.
        mappers += _forms(status, rule, MUTE if status == 503 else None, [DOORMANS])
        mappers += _forms(status, rule, SENTENCES[status], [])
    return {"mappers": mappers}


def _forms(status: int, rule: str, text: str | None, conditions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    value = {"default_value": status, "runtime_key": f"flywheel.status.{status}"}
    matched = [{"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}, *conditions]
    said = {"body": {"inline_string": text}} if text is not None else {}
    error = {"field": None, "rule": rule, "message": "%LOCAL_REPLY_BODY%", "row": None}
    return [
        {"filter": _all(*matched, GRPC), **said, **_grpc_status(status)},
        {"filter": _all(*matched, V2), **said, "body_format_override": _json({"error": "%LOCAL_REPLY_BODY%"})},
        {"filter": _all(*matched), **said, "body_format_override": _json({"error": error})},
    ]


def _grpc_status(status: int) -> dict[str, Any]:
    """Correct what Envoy makes of a status for gRPC: 429 would be UNAVAILABLE, which clients try again at once."""
    code = GRPC_STATUS.get(status)
    if code is None:
        return {}
    header = {"key": "grpc-status", "value": str(code)}
    return {"headers_to_add": [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]}


def _all(*filters: dict[str, Any]) -> dict[str, Any]:
    return {"and_filter": {"filters": list(filters)}} if len(filters) > 1 else filters[0]


def _json(document: dict[str, Any]) -> dict[str, Any]:
    return {"json_format": document}
