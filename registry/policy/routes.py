"""Routes of the policy and of what it judges: the policy itself and its changes, reviews, standings, overrides."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from flask import Flask
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.server import handlers

from registry.caller import CACHED, caller
from registry.policy import amendment
from registry.policy.changes import Proposal
from registry.policy.reviews import DECISIONS, Review
from registry.policy.standing import Standing
from registry.routes import add_route, body
from registry.store.gate import GateStore

LONGEST_POLICY = 200_000  # characters, of which YAML reads a million a second


def add_routes(app: Flask) -> None:
    """Add them; call it before MLflow's login is added, which then guards them."""
    add_route(app, "GET", "policy", _policy)
    add_route(app, "GET", "policy/proposals", _proposals)
    add_route(app, "POST", "policy/proposals", _propose)
    add_route(app, "POST", "policy/proposals/<number>/approve", _approve)
    add_route(app, "POST", "policy/proposals/<number>/reject", _reject)
    add_route(app, "POST", "review/<name>/<version>", _review)
    add_route(app, "GET", "standing/<name>/<version>", _standing)
    add_route(app, "POST", "override/<name>/<version>", _override)


def _policy() -> dict[str, Any]:
    held = CACHED.read()
    return {
        "number": held.number,
        "digest": held.digest,
        "adopted_at": _moment(held.at),
        "adopted_by": held.by,
        "document": held.policy.document(),
    }


def _proposals() -> dict[str, Any]:
    with _store().engine.connect() as connection:
        found = amendment.proposals(connection)
    return {"proposals": [_shown(proposal) for proposal in found.values()]}


def _propose() -> dict[str, Any]:
    sent = body(required=("document", "reason"), longest=LONGEST_POLICY)
    return _shown(amendment.propose(_store().engine, caller(), sent["document"], sent["reason"].strip()))


def _approve(number: str) -> dict[str, Any]:
    sent = body(optional=("comment",))
    return _shown(amendment.approve(_store().engine, caller(), _number(number), sent.get("comment", "").strip()))


def _reject(number: str) -> dict[str, Any]:
    sent = body(required=("comment",))
    return _shown(amendment.reject(_store().engine, caller(), _number(number), sent["comment"].strip()))


def _review(name: str, version: str) -> dict[str, Any]:
    sent = body(required=("decision",), optional=("comment",))
    given = _store().review(name, version, sent["decision"], sent.get("comment", "").strip())
    return _said(given)


def _standing(name: str, version: str) -> dict[str, Any]:
    return _stands(_store().standing(name, version, caller()))


def _override(name: str, version: str) -> dict[str, Any]:
    sent = body(required=("reason",))
    moved = _store().override(name, version, sent["reason"].strip())
    return {"model": moved.name, "version": str(moved.version), "stage": moved.current_stage, "tags": dict(moved.tags)}


def _store() -> GateStore:
    store: GateStore = handlers._get_model_registry_store()
    return store


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise MlflowException(f"'{text[:40]}' is no proposal's number. Send a whole number.", INVALID_PARAMETER_VALUE)
    return int(text)


def _shown(proposal: Proposal) -> dict[str, Any]:
    document = asdict(proposal)
    document["at"] = _moment(proposal.at)
    document["approvals"] = [{**vote, "at": _moment(vote["at"])} for vote in document["approvals"]]
    if proposal.rejection is not None:
        document["rejection"] = {**document["rejection"], "at": _moment(proposal.rejection.at)}
    return document


def _stands(found: Standing) -> dict[str, Any]:
    return {
        "digest": found.digest,
        "ready": found.ready,
        "may_review": found.may_review,
        "why_not": found.why_not,
        "needs": [asdict(need) for need in found.needs],
        "reviews": [_said(review) for review in found.reviews],
        "evidence": [
            {
                "gate": one.gate,
                "outcome": str(one.measurement.outcome),
                "sentence": one.measurement.sentence,
                "digest": one.digest,
                "at": _moment(one.at),
            }
            for one in found.evidence
        ],
    }


def _said(review: Review) -> dict[str, Any]:
    return {
        "decision": DECISIONS[review.kind],
        "reviewer": review.reviewer,
        "comment": review.comment,
        "digest": review.digest,
        "at": _moment(review.at),
        "seq": review.seq,
    }


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
