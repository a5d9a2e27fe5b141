"""The census of doors: what is decided about every method of the registry store and every route of the server.

In flows `census.txt`, out flow decisions: by route template for the keepers at the doors, by path for whoever scopes a
token (`area_of`). It knows nothing of who calls. A route that is not in it changes nothing (`registry.doors.keeper`).

`mlflow gc` and the hands of whoever owns database and bucket are no doors of this server: nothing here can refuse them.
So the approval carries a digest, and the deployment checks it before it loads a byte.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

FILE = Path(__file__).parent / "census.txt"
STATIC_PREFIX = "_MLFLOW_STATIC_PREFIX"  # as `mlflow server` hands --static-prefix to its workers
STORE = "STORE"  # stands in a method's place before methods of the store
GRAPHQL = "GRAPHQL"  # stands in a method's place before a field of the schema
ANY_METHOD = "*"
BELOW = "/**"
TWINS = ("/api", "/ajax-api")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MANY_PARTS = re.compile(r"<path:\w+>|\{\w+:path\}")
ONE_PART = re.compile(r"<(?:\w+:)?\w+>|\{\w+(?::\w+)?\}")
Key = TypeVar("Key")


class State(StrEnum):
    """What is decided about a door."""

    OPEN = "open"  # MLflow's own permissions decide alone
    GATED = "gated"  # a keeper of ours decides too
    REFUSED = "refused"  # nobody passes, the administrator neither


class Area(StrEnum):
    """What a door is about; tokens are limited to areas."""

    READ = "read"  # looks, and changes nothing
    TRACKING = "tracking"  # experiments, runs, artifacts, logged models, traces, data sets
    REGISTRY = "registry"  # models, versions, tags, aliases, but no stages
    REVIEW = "review"  # stages, and the registry's own routes: reviews, gates, policy, hooks
    ADMIN = "admin"  # accounts, permissions, webhooks
    PREDICT = "predict"  # asks models at the gateway: no door of this server is about that
    OWN = "own"  # the caller's own password and tokens


class Keeper(StrEnum):
    """Who stands at a gated door."""

    NOBODY = ""
    STORE = "store"  # registry.store.gate
    COMPOSED = "composed"  # made of methods that the store keeps
    FROZEN = "frozen"  # registry.doors.freeze
    LOCATION = "location"  # registry.doors.freeze
    CLOSED_RUN = "closed-run"  # registry.doors.closed
    CLOSED_MODEL = "closed-model"  # registry.doors.closed
    CLOSED_EXPERIMENT = "closed-experiment"  # registry.doors.closed
    ADMINISTRATOR = "administrator"  # registry.doors.accounts, beside MLflow's login
    ACCOUNT = "account"  # MLflow's login: the account's own user and administrators
    QUERIES = "queries"  # registry.doors.queries
    HANDLER = "handler"  # a route of ours, which asks the policy


# Why a door is closed to everybody, and what to do instead: the keeper's word in the table, then the sentence.
REASONS: Mapping[str, str] = {
    "assistant": "MLflow's assistant runs programs on the server. Run it beside a server of your own.",
    "demo": "MLflow's demo data does not belong on a server that keeps approvals. Load it into a server of your own.",
    "gateway": "this server calls no language models and keeps no keys for them. Run MLflow's gateway by itself.",
    "jobs": "this server runs no code of others. Evaluate in your own process, and log the result.",
    "presigned": "it would let bytes change after their version is frozen. Upload through the server (log_artifact).",
    "workspaces": "this server has one workspace, in which every artifact is watched. Use a server for each team.",
}


@dataclass(frozen=True)
class Door:
    """A decision; `keeper` is a Keeper, or a key of REASONS where the state is refused."""

    state: State
    area: Area
    keeper: str

    @property
    def reason(self) -> str:
        """Why nobody passes: a sentence for the caller."""
        return f"Refused: {REASONS[self.keeper]}"


@dataclass(frozen=True)
class Census:
    """All decisions.

    Args:
        routes: By method and template.
        families: Refused as a whole: by what their paths start with.
        methods: Of the store, by name.
    """

    routes: dict[tuple[str, str], Door] = field(default_factory=dict)
    families: dict[str, Door] = field(default_factory=dict)
    methods: dict[str, Door] = field(default_factory=dict)

    def door(self, method: str, template: str) -> Door | None:
        """Return the decision about a route of the server; None when nobody made one."""
        found = self.routes.get(("GET" if method == "HEAD" else method, template))
        return found or next((door for start, door in self.families.items() if template.startswith(start)), None)


def read_census(text: str) -> Census:
    """Read the table.

    Raises:
        ValueError: A line is no row, decides twice about a door, or opens a whole family.
    """
    census = Census()
    door = None
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        try:
            if line.startswith("["):
                door = _door(line.strip("[]").split())
            else:
                _add(census, door, words)
        except ValueError as fault:
            raise ValueError(f"census.txt, line {number}: {fault}") from fault
    return census


def _door(words: list[str]) -> Door:
    state, area, keeper = State(words[0]), Area(words[1]), (words[2:] or [""])[0]
    keepers = {str(one) for one in Keeper}
    known = {State.OPEN: {""}, State.GATED: keepers - {""}, State.REFUSED: set(REASONS)}[state]
    if keeper not in known:
        raise ValueError(f"'{keeper}' keeps no {state} door. Known: {', '.join(sorted(known))}.")
    return Door(state, area, keeper)


def _add(census: Census, door: Door | None, words: list[str]) -> None:
    methods, *names = words
    if door is None or not names:
        raise ValueError("a row is METHODS and a path, or STORE and methods, below a [state area keeper].")
    if methods == STORE:
        _enter(census.methods, door, names)
    elif names[0].endswith(BELOW):
        if door.state is not State.REFUSED or methods != ANY_METHOD:
            raise ValueError(f"'{names[0]}' is a whole family, which can only be refused, and with all methods.")
        _enter(census.families, door, [names[0].removesuffix("**")])
    else:
        paths = [names[0].replace("/*api", twin, 1) for twin in TWINS] if names[0].startswith("/*api") else names[:1]
        _enter(census.routes, door, [(method, path) for method in methods.split(",") for path in paths])


def _enter(table: dict[Key, Door], door: Door, keys: list[Key]) -> None:
    for key in keys:
        if key in table:
            raise ValueError(f"{key} is decided twice.")
        table[key] = door


@lru_cache(maxsize=4096)
def template(rule: str) -> str:
    """Return a Flask or Starlette rule as the census writes it, without the prefix that the server may be given."""
    return ONE_PART.sub("{}", MANY_PARTS.sub("{...}", without_prefix(rule)))


def without_prefix(path: str) -> str:
    """Return a path without what `mlflow server --static-prefix` puts before every path."""
    return path.removeprefix(os.environ.get(STATIC_PREFIX, "").rstrip("/"))


CENSUS = read_census(FILE.read_text())


def area_of(method: str, path: str) -> Area:
    """Return what a request is about, by its path as it came (unquoted, without a query).

    A change that the census does not know is the administrators', so that a token of any other area does not reach it.
    """
    if method in SAFE_METHODS:
        return Area.READ
    bare = without_prefix(path)
    found = CENSUS.door(method, bare) or next((door for shape, door in _shapes(method) if shape.fullmatch(bare)), None)
    return found.area if found else Area.ADMIN


@lru_cache(maxsize=16)
def _shapes(method: str) -> list[tuple[re.Pattern[str], Door]]:
    """Return the templates with parts of one method as patterns, those that say most first."""
    found = [(path, door) for (verb, path), door in CENSUS.routes.items() if verb == method and "{" in path]
    found.sort(key=lambda one: len(one[0]), reverse=True)
    return [(re.compile(_pattern(path), re.DOTALL), door) for path, door in found]


def _pattern(path: str) -> str:
    return re.escape(path).replace(r"\{\.\.\.\}", ".+").replace(r"\{\}", "[^/]+")
