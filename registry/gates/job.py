"""Measures one version: fetches its bytes and the champion's, runs the gates, and records what each says."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from flywheel import events
from flywheel.digest import folder_digest
from flywheel.errors import IntegrityError, TransientError
from flywheel.events import EventKind
from flywheel.identities import GATES
from flywheel.limits import gate_of, stricter
from flywheel.package import INSIDE
from flywheel.policy import Policy
from flywheel.signing import trusted_key, verify
from flywheel.usecase import Gates, load_usecase
from registry.doors.artifacts import digest_of, downloaded
from registry.gates.evidence import Measurement, Outcome, Reason, evidence_body
from registry.gates.measuring import Bounds, measure
from registry.gates.run import Task
from registry.gates.waiting import waiting

log = structlog.get_logger()
PolicyOf = Callable[[sa.Connection], Policy]


@dataclass(frozen=True)
class Subject:
    """A registered version and where its bytes are."""

    model: str
    version: str
    location: str

    @property
    def name(self) -> str:
        """What its events are about."""
        return f"{self.model}/{self.version}"


@dataclass(frozen=True)
class Demand:
    """What policy and use case want of a version together.

    Args:
        required: Gates, by who requires them.
        limits: The stricter of both, field by field.
        moot: Fields in which the use case asked for less than the policy does.
    """

    required: Mapping[str, str]
    limits: Any
    moot: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fetched:
    """A version's folder with its digest; `fault` says why there is none."""

    folder: Path | None = None
    digest: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Recorder:
    """Writes evidence, each in a transaction of its own, so that what is known survives what comes after."""

    engine: sa.Engine
    subject: Subject
    asked: int
    digest: str
    champion: str | None
    demand: Demand
    left: list[str] = field(default_factory=list)

    def __call__(self, gate: str, found: Measurement) -> None:
        """Record one measurement; the last of the job says so."""
        self.left.remove(gate)
        body = evidence_body(
            self.subject.model,
            self.subject.version,
            gate,
            _with_moot(found, [name for name in self.demand.moot if gate_of(name) == gate]),
            digest=self.digest,
            command=f"flywheel gates run {self.subject.model} {self.subject.version} --gate {gate}",
            limits=self.demand.limits.model_dump(mode="json"),
            champion=self.champion,
            reason=Reason(self.demand.required.get(gate, ""), self.asked, len(self.left)),
        )
        with self.engine.begin() as connection:
            events.append(connection, EventKind.GATE_MEASURED, self.subject.name, GATES, body)
        log.info("gate", version=self.subject.name, gate=gate, outcome=str(found.outcome), left=len(self.left))


def measure_version(
    engine: sa.Engine,
    subject: Subject,
    policy_of: PolicyOf,
    bounds: Bounds = Bounds(),  # noqa: B008  # frozen
    *,
    patient: bool = True,
) -> None:
    """Measure what waits of one version. Safe to repeat, from several processes too, and to be killed: the rest waits.

    Args:
        engine: On the database of MLflow and the audit trail, as the role that may append events.
        subject: The version.
        policy_of: Reads the policy in force.
        bounds: Of each gate.
        patient: Whether files that the store does not give are worth another try; if not, no gate could run.

    Raises:
        TransientError: The artifact store does not give the files; nothing is recorded.
    """
    with alone(engine, subject):
        _measure_waiting(engine, subject, policy_of, bounds, patient=patient)


@contextmanager
def alone(engine: sa.Engine, subject: Subject) -> Iterator[None]:
    """Let one process at a time measure a version; the second then finds that nothing waits any more."""
    key = {"key": int.from_bytes(hashlib.sha256(subject.name.encode()).digest()[:8], signed=True)}
    # Without a transaction, which would keep Postgres from cleaning up for as long as the gates run.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), key)
        try:
            yield
        finally:
            connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), key)


def _measure_waiting(
    engine: sa.Engine, subject: Subject, policy_of: PolicyOf, bounds: Bounds, *, patient: bool
) -> None:
    with engine.connect() as connection:
        questions = waiting(events.read(connection, subject=subject.name))
        policy = policy_of(connection).for_model(subject.model)
        champion = champion_of(connection, subject)
    if questions.is_void(policy.gates.required):
        return
    with tempfile.TemporaryDirectory(prefix="flywheel-gates-") as name:
        place = Path(name)
        own = verified(engine, subject, fetch(subject, place / "candidate", patient=patient))
        demand = demanded(policy, own.folder)
        left = questions.left(demand.required)
        compared = champion is not None and bool({"champion", "signature"} & {*left})
        rival = Fetched()
        if champion and compared:
            rival = verified(engine, champion, fetch(champion, place / "champion", patient=patient))
        record = Recorder(engine, subject, questions.upto, own.digest, rival.digest or None, demand, list(left))
        if own.folder is None:
            for gate in left:
                record(gate, Measurement(Outcome.COULD_NOT_RUN, f"The version cannot be measured: {own.fault}"))
            return
        _run_gates(record, own.folder, rival, place, bounds)


def _run_gates(record: "Recorder", folder: Path, rival: "Fetched", place: Path, bounds: Bounds) -> None:
    gates, work = tuple(record.left), place / "work"
    work.mkdir()
    task = Task(
        folder=folder,
        work=work,
        gates=gates,
        limits=record.demand.limits,
        champion=rival.folder,
        champion_fault=f"The champion cannot be compared with: {rival.fault}" if rival.fault else "",
    )
    measure(task, record, bounds=bounds)
    _check_unchanged(record, folder, gates)


def _check_unchanged(record: "Recorder", folder: Path, gates: tuple[str, ...]) -> None:
    """Void what was measured on bytes that changed meanwhile: the candidate's code ran beside them."""
    if gates and folder_digest(folder) != record.digest:
        again = replace(record, left=list(gates))
        for gate in gates:
            again(gate, Measurement(Outcome.COULD_NOT_RUN, "The model changed its own files while it was measured."))


def fetch(subject: Subject, folder: Path, *, patient: bool = True) -> Fetched:
    """Download a version into `folder`, which must not exist, and take its digest.

    Raises:
        TransientError: The artifact store does not give it, and `patient` is set.
    """
    try:
        with downloaded(subject.location) as found:
            digest = digest_of(found, subject.model, subject.version)
            shutil.copytree(found, folder)
    except IntegrityError as fault:
        if patient and isinstance(fault.__cause__, Exception):  # the store's own fault, which may pass
            raise TransientError(f"Version {subject.version} of '{subject.model}': {fault}") from fault
        return Fetched(fault=str(fault))
    return Fetched(folder, digest)


def verified(engine: sa.Engine, subject: Subject, fetched: Fetched) -> Fetched:
    """Return what was fetched if the server has signed it; where FLYWHEEL_VERIFY_KEY demands it, nothing else runs."""
    key = trusted_key(None)
    if key is None or fetched.folder is None:
        return fetched
    with engine.connect() as connection:
        signatures = events.read(connection, EventKind.VERSION_SIGNED, subject.name)
    bundle = str(signatures[-1].body["bundle"]) if signatures else None
    try:
        verify(fetched.folder, bundle, key, f"Version {subject.version} of '{subject.model}'")
    except IntegrityError as fault:
        return Fetched(fault=str(fault))
    return fetched


def demanded(policy: Policy, folder: Path | None) -> Demand:
    """Join the policy's gates and limits with those of the use case in a package; a looser wish is moot."""
    wish = _wish(folder)
    joined, moot = stricter(policy.gates.limits, wish.limits)
    required = dict.fromkeys(wish.required, "use case") | dict.fromkeys(policy.gates.required, "policy")
    return Demand(required, joined, moot)


def _wish(folder: Path | None) -> Gates:
    if folder is None or not (folder / INSIDE / "usecase.yaml").is_file():
        return Gates()
    try:
        return load_usecase(folder / INSIDE / "usecase.yaml").gates
    except Exception:  # noqa: BLE001  # a damaged package: its gates say so one by one
        return Gates()


def champion_of(connection: sa.Connection, subject: Subject) -> Subject | None:
    """Return the model's champion; None without one, or when the version is the champion."""
    query = sa.text(
        "SELECT v.version, v.storage_location FROM registered_model_aliases a JOIN model_versions v"
        " ON v.name = a.name AND v.version = a.version WHERE a.name = :name AND a.alias = 'champion'"
    )
    row = connection.execute(query, {"name": subject.model}).one_or_none()
    if row is None or str(row[0]) == subject.version:
        return None
    return Subject(subject.model, str(row[0]), str(row[1]))


def _with_moot(found: Measurement, fields: list[str]) -> Measurement:
    if not fields:
        return found
    sentence = f"{found.sentence} The use case asks for less in {', '.join(fields)}: the policy's limit holds."
    return replace(found, sentence=sentence, details={**(found.details or {}), "moot": fields})
