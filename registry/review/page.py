"""The review page of one version, in MLflow's server and behind its login: all the evidence beside the champion's.

A decision on the page is a REST call with the caller's session, MLflow's own or the registry's, so that the page can do
nothing the API could not, and a refusal is the server's sentence.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from flask import Flask, Response
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.server import handlers

from registry.caller import caller, floor_policy
from registry.review import history_page, policy_page, render, waiting_page
from registry.review.comparison import side
from registry.review.documents import Shelf, files_below
from registry.review.evaluation import verdict
from registry.review.gates import WORDS
from registry.review.trail import read_trail
from registry.review.view import Read, build
from registry.review.wording import REVIEWS
from registry.store.decisions import AUTHOR_TAG
from registry.store.gate import GateStore

# What training says of a version's place among the others: 1.2.0, and why the last number rose.
SEMVER_TAG, SEMVER_REASON_TAG = "semver", "semver_reason"
# What a run may hold for a reviewer to read, by file name.
DOCUMENTS = {"card.html": "training card", "checks.html": "data checks"}
DIRTY_DIFF = "dirty.diff"
SHELF = Shelf()
SECTIONS = (
    ("gates", "Gates"),
    ("metrics", "Metrics"),
    ("slices", "Slices"),
    ("plots", "Plots"),
    ("data", "Data"),
    ("parameters", "Parameters"),
    ("code", "Code"),
    ("comments", "Comments"),
    ("story", "History"),
)


def add_review_pages(app: Flask) -> None:
    """Add the pages to MLflow's Flask app; call it before the login is added, which then guards them."""
    for room in (waiting_page, policy_page, history_page):
        room.add_pages(app)
    app.add_url_rule(f"{render.PREFIX}/<name>/<version>", "flywheel_review", _review_page)


def _review_page(name: str, version: str) -> Response:
    store = _store()
    try:
        found = store.get_model_version(name, version)
    except MlflowException as fault:
        return render.missing(fault.get_http_status_code(), fault.message)
    champion = _champion(store, name)
    rival = champion if champion and champion.version != found.version else None
    with store.engine.connect() as connection:
        events = read_trail(connection, name, version)
    with ThreadPoolExecutor(2) as pool:
        ours = pool.submit(_read, store, found)
        theirs = pool.submit(_read, store, rival) if rival else None
    view = build(
        ours.result(),
        theirs.result() if theirs else None,
        is_champion=champion is not None and rival is None,
        standing=store.standing(name, version, caller()),
        events=events,
        policy=floor_policy().for_model(name),
        viewer=caller(),
        now=datetime.now(UTC),
    )
    return render.page(
        "review.html",
        200,
        view=view,
        loss_word=verdict(view.loss, True) if view.loss else "",
        documents=DOCUMENTS,
        diff=DIRTY_DIFF,
        sections=SECTIONS,
        gate_words=WORDS,
        review_words=REVIEWS,
        **_named(found),
    )


def _named(version: ModelVersion) -> dict[str, str | None]:
    tags = version.tags
    return {
        "author": tags.get(AUTHOR_TAG),
        "semver": tags.get(SEMVER_TAG),
        "semver_reason": tags.get(SEMVER_REASON_TAG),
    }


def _champion(store: GateStore, name: str) -> ModelVersion | None:
    try:
        return store.get_model_version_by_alias(name, "champion")
    except MlflowException:  # the alias has not been given yet
        return None


def _read(store: GateStore, version: ModelVersion) -> Read:
    documents = SHELF.read(str(store.get_model_version_download_uri(version.name, version.version)))
    run = _run(version)
    if run is None:
        return Read(side(version, None), documents)
    there = files_below(run.info.artifact_uri)
    shown = tuple(name for name in DOCUMENTS if name in there)
    return Read(side(version, run, shown), documents, files_below(run.info.artifact_uri, "plots"), DIRTY_DIFF in there)


def _run(version: ModelVersion) -> Run | None:
    if not version.run_id:
        return None
    try:
        return handlers._get_tracking_store().get_run(version.run_id)
    except MlflowException:  # the run was deleted: the version stays, without figures
        return None


def _store() -> GateStore:
    store: GateStore = handlers._get_model_registry_store()
    return store
