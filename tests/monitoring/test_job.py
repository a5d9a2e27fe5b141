"""A whole check on a running stack: log, decision, Evidently's report, MLflow's page, the event, the claim to train."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa
import yaml

from flywheel.connections import login, secrets
from flywheel.contract import Output
from flywheel.digest import folder_digest
from flywheel.errors import StackError
from flywheel.events import Event, EventKind, append, read
from flywheel.identities import MONITORING
from flywheel.monitor_spec import Harm, Retrain
from flywheel.package import INSIDE
from flywheel.profile import Reference
from flywheel.settings import Settings
from flywheel.tracking import Tracking
from flywheel.usecase import load_usecase
from monitoring.look.by_hand import check
from monitoring.reports.publication import Check
from monitoring.retraining.evidence import Evidence
from monitoring.retraining.policy import replay
from monitoring.retraining.retrain import Retraining, claim
from monitoring.windows.window import Span
from tests.monitoring.flights_log import CONTRACT, NAME, Flight, write_log
from tests.monitoring.flights_package import USE_CASE, sign, write_model, write_package

START = datetime(2013, 4, 1)
MAY = datetime(2013, 5, 1)
AS_OF = datetime(2013, 6, 1)
# Always .3: right in April, when three in ten are late, and wrong in May, when seven are.
REFERENCE = Reference(loss=0.611, standard_error=0.005, rows=1000, roc_auc=0.5)


@pytest.fixture(scope="module")
def request_(stack: Settings) -> Check:
    random = np.random.default_rng(7)
    digest = write_package(stack.root, REFERENCE)
    times = [START + timedelta(hours=2 * step) for step in range(12 * 60)]
    shares = [0.3 if time < MAY else 0.7 for time in times]
    late = [float(random.uniform() < share) for share in shares]
    flights = [Flight(f"f{number}", time, outcome=late[number]) for number, time in enumerate(times)]
    write_log(stack.root / "log", flights, digest=digest)
    (stack.root / "MLproject").write_text("name: test\n")
    file = stack.root / "usecase.yaml"
    file.write_text(yaml.safe_dump(USE_CASE))
    return Check(file, load_usecase(file), Span(START, MAY, MAY + timedelta(days=1)), start_training=False)


@pytest.fixture
def engine(stack: Settings) -> Iterator[sa.Engine]:
    made = sa.create_engine(secrets(stack).databases["monitoring"])
    yield made
    made.dispose()


def events(engine: sa.Engine, kind: EventKind) -> list[Event]:
    with engine.connect() as connection:
        return read(connection, kind=kind, subject=NAME)


def test_a_quiet_window_has_its_event_its_page_and_its_report(
    stack: Settings, request_: Check, engine: sa.Engine
) -> None:
    result = check(stack, request_)
    assert (result.verdict, result.rows, result.training) == ("quiet", 360, "")
    recorded = events(engine, EventKind.MONITOR_WINDOW)[-1]
    assert recorded.actor == MONITORING
    assert recorded.body["verdict"] == "quiet"
    assert recorded.body["run_id"] == result.run_id
    assert recorded.body["labelled"] == 360
    assert result.report_url is not None
    assert result.report_url.endswith("/artifacts/evidently/drift.html")
    rest = Tracking.from_login(login(stack, MONITORING)).rest
    run = rest.call("GET", "runs/get", run_id=result.run_id)["run"]
    assert run["info"]["status"] == "FINISHED"
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert tags["mlflow.note.content"] == result.reason
    assert (tags["verdict"], tags["window"], tags["use_case"]) == ("quiet", "2013-04-01 to 2013-05-01", NAME)
    assert run["info"]["run_name"] == f"quiet: 2013-04-01 to 2013-05-01, {NAME}"
    (rows,) = run["inputs"]["dataset_inputs"]
    assert (rows["dataset"]["name"], rows["dataset"]["digest"]) == ("2013-04-01 to 2013-05-01", "360 answers")
    files = rest.call("GET", "artifacts/list", run_id=result.run_id)["files"]
    assert {file["path"] for file in files} == {"decision.json", "evidently", "loss_by_day.png"}


def test_a_window_of_classes_has_the_same_page_with_the_report_in_its_own_terms(stack: Settings) -> None:
    name, names = f"{NAME}-classes", ["calm", "rain", "hail"]
    document, reference = USE_CASE | {"name": name, "task": "multiclass"}, REFERENCE.model_copy(update={"loss": 0.69})
    outputs = (
        Output(name="prediction", type="string"),
        *(Output(name=f"probability_{n}", type="double") for n in names),
    )
    contract = CONTRACT.model_copy(update={"outputs": outputs})
    package = write_model(stack.root / "packages" / name / "1-0", reference, document, contract)
    sample = pl.read_parquet(package / INSIDE / "reference.parquet")
    classes = {"prediction": pl.Series(["calm", "rain"] * 150), "label": pl.Series(["rain", "hail", "calm"] * 100)}
    sample.with_columns(**classes).write_parquet(package / INSIDE / "reference.parquet")
    sign(stack.root, package)
    # The entropy of these shares is .69: what a version loses that knows how often each class comes.
    random, shares = np.random.default_rng(7), [0.75, 0.2, 0.05]
    answer: dict[str, float | str] = {
        "prediction": "calm",
        **{f"probability_{n}": s for n, s in zip(names, shares, strict=True)},
    }
    flights = [
        Flight(f"f{n}", START + timedelta(hours=2 * n), outcome=str(random.choice(names, p=shares)), outputs=answer)
        for n in range(12 * 30)
    ]
    write_log(stack.root / "log", flights, digest=folder_digest(package), contract=contract, name=name)
    file = stack.root / "classes.yaml"
    file.write_text(yaml.safe_dump(document))
    span = Span(START, MAY, MAY + timedelta(days=1))
    result = check(stack, Check(file, load_usecase(file), span, start_training=False))
    assert (result.verdict, result.rows, result.loss_name) == ("quiet", 360, "log_loss")
    rest = Tracking.from_login(login(stack, MONITORING)).rest
    files = rest.call("GET", "artifacts/list", run_id=result.run_id)["files"]
    assert {file["path"] for file in files} == {"decision.json", "evidently", "loss_by_day.png"}


def test_harm_is_recorded_even_when_neither_mlflow_nor_the_report_can_be_had(
    stack: Settings, request_: Check, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.reports.process.sys.executable", "/bin/false")
    monkeypatch.setattr(
        "monitoring.reports.publication.login", lambda *_: {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    )
    result = check(stack, replace(request_, span=Span(MAY, MAY + timedelta(days=30), AS_OF)))
    assert result.verdict == "harm"
    assert result.report_url is None
    assert result.training == "Training was not to be started."
    recorded = events(engine, EventKind.MONITOR_WINDOW)[-1]
    assert (recorded.body["verdict"], recorded.body["run_id"]) == ("harm", None)


def test_harm_that_asks_for_a_training_is_claimed_once_and_the_next_one_refused(
    request_: Check, engine: sa.Engine
) -> None:
    may = {"start": MAY.isoformat(), "end": AS_OF.isoformat(), "as_of": AS_OF.isoformat(), "verdict": "harm"}
    june = AS_OF + timedelta(days=30)
    with engine.begin() as connection:
        half = (MAY + timedelta(days=15)).isoformat()
        later = {**may, "start": AS_OF.isoformat(), "end": june.isoformat(), "as_of": june.isoformat()}
        for body in ({**may, "end": half}, {**may, "start": half}, later):
            append(connection, EventKind.MONITOR_WINDOW, NAME, MONITORING, body)
    assert claim(engine, request_.use_case, Evidence(AS_OF)).start
    started = events(engine, EventKind.RETRAIN_STARTED)
    assert [event.body["as_of"] for event in started] == [AS_OF.isoformat()]
    refused = claim(engine, request_.use_case, Evidence(june))
    assert not refused.start
    assert "still runs" in refused.sentence
    decided = events(engine, EventKind.RETRAIN_DECIDED)[-1].body
    assert (decided["reason"], decided["start"]) == ("harm", False)
    assert replay(decided).body() == decided
    assert len(events(engine, EventKind.RETRAIN_STARTED)) == 1


def test_a_check_that_finds_harm_trains_on_the_rows_that_the_policy_chose(
    stack: Settings, request_: Check, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Retraining] = []

    def remembered(settings: Settings, engine: sa.Engine, retraining: Retraining, find: object) -> str:
        asked.append(retraining)
        return "2"

    monkeypatch.setattr("monitoring.job.retrain", remembered)
    monkeypatch.setattr("monitoring.reports.process.sys.executable", "/bin/false")
    with engine.begin() as connection:  # what an earlier test has started is over
        ended = {"as_of": AS_OF.isoformat(), "outcome": "failed"}
        append(connection, EventKind.RETRAIN_FINISHED, NAME, MONITORING, ended)
    policy = Retrain(harm=Harm(windows=1, of=1), cooldown=timedelta(0), rows="change_point", new_labels=10**6)
    monitor = request_.use_case.monitor.model_copy(update={"retrain": policy})
    case = request_.use_case.model_copy(update={"monitor": monitor})
    span = Span(MAY, MAY + timedelta(days=30), AS_OF + timedelta(days=40))
    result = check(stack, replace(request_, use_case=case, span=span, start_training=True))
    assert result.retrained_version == "2"
    started = events(engine, EventKind.RETRAIN_STARTED)[-1].body
    assert started["as_of"] == span.as_of.isoformat()
    assert (started["reason"], started["triggers"][2]["value"]) == ("harm", 720)  # all labels: it was trained before
    assert asked[0].as_of == span.as_of
    assert asked[0].rows.start is not None
    assert abs(asked[0].rows.start - MAY) <= timedelta(days=2)  # when three of ten became seven


def test_a_window_without_cause_leaves_no_decision_behind(request_: Check, engine: sa.Engine) -> None:
    before = len(events(engine, EventKind.RETRAIN_DECIDED))
    assert not claim(engine, request_.use_case, Evidence(MAY)).start
    assert len(events(engine, EventKind.RETRAIN_DECIDED)) == before


def test_a_database_that_does_not_answer_is_one_sentence(
    stack: Settings, request_: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = {**secrets(stack).databases, "monitoring": "postgresql+psycopg2://nobody:x@127.0.0.1:9/mlflow"}
    broken = secrets(stack).model_copy(update={"databases": away})
    monkeypatch.setattr("flywheel.database.secrets", lambda _: broken)
    monkeypatch.setattr("monitoring.reports.process.sys.executable", "/bin/false")
    monkeypatch.setattr(
        "monitoring.reports.publication.login", lambda *_: {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    )
    with pytest.raises(StackError, match="database of the events fails"):
        check(stack, request_)
