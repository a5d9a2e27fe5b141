"""Requests that name who is to answer: an arm or a version in a header, or a version in V2's path.

They are drawn by nothing, so they prove nothing about an arm: they go to clusters of their own, and say `forced` to the
agent. Who names what is not live gets a sentence; nobody else answers in its stead.
"""

from collections.abc import Iterator
from typing import Any

from deploy.gateway.traffic import Backend, Split
from deploy.gateway.where import Where, version_paths

BY_ARM, BY_VERSION = "x-flywheel-force-arm", "x-flywheel-version"
# Requests, and who answers them: a version's agents, or a sentence that refuses.
Chosen = tuple[Where, Backend | str]


def unforced(where: Where) -> Where:
    """Return the requests that name nobody: those that an arm is drawn for."""
    return where.having(_absent(BY_ARM), _absent(BY_VERSION))


def chosen_by_header(where: Where, split: Split, *, allowed: bool) -> Iterator[Chosen]:
    """List what requests may name in a header, and the refusal of everything else that they name."""
    if allowed:
        for arm, backend in split.arms.items():
            yield where.having(_is(BY_ARM, arm), _absent(BY_VERSION)), backend
        for version, backend in split.live.items():
            yield where.having(_is(BY_VERSION, version), _absent(BY_ARM)), backend
        sentence = f"{_nobody(split)} Name one of them, in one header: {BY_ARM} or {BY_VERSION}."
    else:
        sentence = f"This gateway lets no client name an arm or a version. Leave out {BY_ARM} and {BY_VERSION}."
    yield where.having(_present(BY_ARM)), sentence
    yield where.having(_present(BY_VERSION)), sentence


def chosen_by_path(split: Split) -> Iterator[Chosen]:
    """List the paths that name a live version, and the refusal of those that name another."""
    for version, backend in split.live.items():
        for where in version_paths(split.usecase, version):
            yield where, backend
    for where in version_paths(split.usecase):
        yield where, f"{_nobody(split)} Ask for one of them, or leave the version out of the path."


def _nobody(split: Split) -> str:
    """Say that nobody is there, and who is."""
    arms = {backend.version: arm for arm, backend in split.arms.items()}
    known = ", ".join(f"{version} ({arms.get(version, 'previous')})" for version in split.live)
    return f"No such version or arm of '{split.usecase}' is live. Live versions: {known}."


def _is(header: str, value: str) -> dict[str, Any]:
    return {"name": header, "string_match": {"exact": value}}


def _present(header: str) -> dict[str, Any]:
    return {"name": header, "present_match": True}


def _absent(header: str) -> dict[str, Any]:
    return {"name": header, "present_match": False}
