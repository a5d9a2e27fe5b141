"""The review pages, in MLflow's server and behind its login: the versions that wait, and one version's evidence.

A decision on the page is MLflow's own REST call with the caller's session, so that the page can do nothing the API
could not, and a refusal is the gate's sentence.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, make_response, request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.server import handlers

from flywheel import events
from flywheel.rollbacks import failure
from registry.caller import caller, floor_policy
from registry.doors.artifacts import files_of
from registry.policy.rules import PRODUCTION, STAGING, Allowed, Transition, Verdict, judge_transition
from registry.review.comparison import Measured, Side, figures, on_same_data, over_champion, settings, side
from registry.store.gate import AUTHOR_TAG, DIGEST_TAG, GateStore

PREFIX = "/flywheel/review"
# What training says of a version's place among the others: 1.2.0, and why the last number rose.
SEMVER_TAG, SEMVER_REASON_TAG = "semver", "semver_reason"
WAITING_STAGES = frozenset({"None", STAGING})
# What a run may hold for a reviewer to read, by file name.
DOCUMENTS = {"card.html": "training card", "checks.html": "data checks"}
SHOWN = 200  # versions on the list, newest first
PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def add_review_pages(app: Flask) -> None:
    """Add both pages to MLflow's Flask app; call it before the login is added, which then guards them."""
    PAGES.filters.update(
        moment=_moment,
        figure=_figure,
        interval=_interval,
        change=_change,
        setting=_setting,
        path=lambda text: quote(str(text), safe=""),
    )
    app.add_url_rule(f"{PREFIX}/", "flywheel_waiting", _waiting_page)
    app.add_url_rule(f"{PREFIX}/<name>/<version>", "flywheel_review", _review_page)


def _waiting_page() -> Response:
    store = _store()
    found = store.search_model_versions(max_results=SHOWN, order_by=["last_updated_timestamp DESC"])
    waiting = [version for version in found if version.current_stage in WAITING_STAGES]
    rows = [(version, version.tags.get(AUTHOR_TAG), _created(version)) for version in waiting]
    return _page("waiting.html", 200, rows=rows)


def _review_page(name: str, version: str) -> Response:
    store = _store()
    try:
        candidate = _side(store.get_model_version(name, version))
    except MlflowException as fault:
        return _page("missing.html", fault.get_http_status_code(), sentence=fault.message)
    champion = _champion(store, name)
    rival = champion if champion and champion.version.version != candidate.version.version else None
    with store.engine.connect() as connection:
        history = events.read(connection, model=name)
    verdict = _verdict(candidate.version, failure(history, f"{name}/{version}"))
    mine = [event for event in history if event.subject in {f"{name}/{version}", name}]
    return _page(
        "review.html",
        200,
        candidate=candidate,
        champion=rival,
        is_champion=champion is not None and rival is None,
        author=candidate.version.tags.get(AUTHOR_TAG),
        semver=candidate.version.tags.get(SEMVER_TAG),
        semver_reason=candidate.version.tags.get(SEMVER_REASON_TAG),
        digest=candidate.version.tags.get(DIGEST_TAG),
        figures=figures(candidate, rival),
        over_champion=over_champion(candidate),
        documents=DOCUMENTS,
        comparable=rival is None or on_same_data(candidate, rival),
        settings=settings(candidate, rival),
        events=list(reversed(mine)),
        verdict=verdict,
        allowed=isinstance(verdict, Allowed),
        in_production=candidate.version.current_stage == PRODUCTION,
    )


def _verdict(version: ModelVersion, failed: str | None) -> Verdict:
    author = version.tags.get(AUTHOR_TAG)
    asked = Transition(version.name, str(version.version), author, version.current_stage, PRODUCTION, failure=failed)
    return judge_transition(caller(), asked, floor_policy())


def _champion(store: GateStore, name: str) -> Side | None:
    try:
        return _side(store.get_model_version_by_alias(name, "champion"))
    except MlflowException:  # the alias has not been given yet
        return None


def _side(version: ModelVersion) -> Side:
    if not version.run_id:
        return side(version, None)
    try:
        run = handlers._get_tracking_store().get_run(version.run_id)
    except MlflowException:  # the run was deleted: the version stays, without figures
        return side(version, None)
    there = files_of(run.info.artifact_uri)
    return side(version, run, tuple(name for name in DOCUMENTS if name in there))


def _store() -> GateStore:
    store: GateStore = handlers._get_model_registry_store()
    return store


def _page(template: str, status: int, **context: Any) -> Response:
    reviewers = sorted(floor_policy().reviewers())
    text = PAGES.get_template(template).render(
        viewer=caller(), reviewers=reviewers, root=request.script_root, prefix=PREFIX, **context
    )
    return make_response(text, status)


def _created(version: ModelVersion) -> datetime:
    return datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _figure(value: Measured | None) -> str:
    return "–" if value is None else _number(value.value)


def _interval(value: Measured | None) -> str:
    if value is None or value.low is None or value.high is None:
        return ""
    return f"({_decimal(value.low)} to {_decimal(value.high)})"


def _number(value: float) -> str:
    # NaN and the infinities are no whole numbers either.
    return f"{value:,.0f}" if float(value).is_integer() else _decimal(value)


def _decimal(value: float) -> str:
    return (f"{value:,.4f}" if abs(value) < 100 else f"{value:,.1f}").replace("-", "−")


def _setting(value: str | None) -> str:
    if value is None:
        return "–"
    try:
        # MLflow keeps parameters as text, and a drawn number has 17 digits.
        return f"{float(value):.6g}" if "." in value else value
    except ValueError:
        return value


def _change(value: float | None) -> str:
    return "–" if value is None else ("+" if value > 0 else "−" if value < 0 else "") + _number(abs(value))
