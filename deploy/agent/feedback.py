"""Outcomes that clients report: read, checked, and taken once, however often they are sent.

An outcome is known by whose it is (prediction id, else entity), its source and its event time; all three make its
`outcome_id`. This process remembers the newest of them, and the id lets who ships them drop what another agent took.
A correction is an outcome of its own: it has another source or a later event time.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

from deploy.agent.refusal import RefusalError
from flywheel.column_rules import Column, value_check
from flywheel.contract import KEY_LENGTH, Contract
from flywheel.errors import ContractError

FIELDS = ("prediction_id", "entity", "outcome", "event_time", "time_known", "source")
REQUIRED = ("outcome", "event_time")
SOURCE = "feedback"
REMEMBERED = 100_000

Outcome = dict[str, Any]
_time = value_check(Column(name="time", type="datetime", nullable=False))


class OutcomeSink(Protocol):
    """Where outcomes are kept until they are shipped."""

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write outcomes (fields of `flywheel.records.OUTCOMES`, `outcome_id`); they then survive this process.

        Raises:
            OSError: They could not be written.
        """
        ...


class OutcomeReader:
    """Reads the outcomes of one contract: names of classes where it answers with classes, else numbers."""

    def __init__(self, contract: Contract, max_rows: int) -> None:
        self._classes = contract.outputs[0].type == "string"
        self._max_rows = max_rows

    def read(self, body: bytes, now: datetime) -> list[Outcome]:
        """Return the outcomes of a body, at least one: `{"outcomes": [...]}`, or one outcome alone.

        Args:
            body: JSON.
            now: UTC, naive; stands for a `time_known` that is not given.

        Raises:
            RefusalError: It is no JSON, has none of the forms, or an outcome says something impossible.
        """
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as fault:
            raise RefusalError("json", "The body is not valid JSON (NaN is not either). Send a JSON object.") from fault
        if type(document) is not dict:
            raise RefusalError("form", "The body must be an object: one outcome, or 'outcomes', a list of them.")
        entries = document["outcomes"] if document.keys() == {"outcomes"} else [document]
        if type(entries) is not list or not entries or not all(type(entry) is dict for entry in entries):
            raise RefusalError("form", "'outcomes' must be a list of objects, at least one.")
        if len(entries) > self._max_rows:
            raise RefusalError("size", f"There are {len(entries)} outcomes, more than {self._max_rows}. Split them.")
        return [self._outcome(entry, index, now) for index, entry in enumerate(entries)]

    def _outcome(self, entry: Mapping[str, Any], row: int, now: datetime) -> Outcome:
        try:
            return self._checked(entry, now)
        except ContractError as fault:
            raise RefusalError(fault.rule, str(fault), field=fault.field, row=row) from fault

    def _checked(self, entry: Mapping[str, Any], now: datetime) -> Outcome:
        _check_fields(entry)
        owner = {name: _key(name, entry.get(name)) for name in ("prediction_id", "entity")}
        if owner["prediction_id"] is None and owner["entity"] is None:
            raise ContractError("prediction_id", "missing", "An outcome needs 'prediction_id' or 'entity'. Add one.")
        event_time = _moment("event_time", entry["event_time"])
        time_known = now if entry.get("time_known") is None else _moment("time_known", entry["time_known"])
        if time_known < event_time:
            raise ContractError("time_known", "range", "The outcome is known before its event. Correct its times.")
        source = SOURCE if entry.get("source") is None else _key("source", entry["source"])
        known = {"event_time": event_time, "time_known": time_known, "source": source}
        named = repr((owner["prediction_id"] or ("entity", owner["entity"]), source, event_time.isoformat()))
        digest = hashlib.sha256(named.encode()).hexdigest()[:32]
        return owner | self._value(entry["outcome"]) | known | {"outcome_id": digest}

    def _value(self, value: Any) -> Outcome:
        if self._classes:
            if type(value) is not str or not value.strip() or len(value) > KEY_LENGTH:
                raise ContractError("outcome", "type", "'outcome' must be the name of a class, as text. Send it so.")
            return {"outcome": None, "label": value}
        if type(value) not in (int, float, bool) or not math.isfinite(value):
            raise ContractError("outcome", "type", "'outcome' must be a finite number, or true or false. Send one.")
        return {"outcome": float(value), "label": None}


class Feedback:
    """Takes outcomes into a sink, each once. One task calls it at a time."""

    def __init__(self, sink: OutcomeSink) -> None:
        self._sink = sink
        self._taken: dict[str, None] = {}

    def take(self, outcomes: Sequence[Outcome]) -> tuple[int, int]:
        """Write what is new; return how many were accepted, and how many had been sent before.

        Raises:
            RefusalError: They could not be written: none was taken.
        """
        new = {entry["outcome_id"]: entry for entry in outcomes if entry["outcome_id"] not in self._taken}
        if new:
            try:
                self._sink.append(list(new.values()))
            except OSError as fault:
                raise RefusalError("log", "The outcomes could not be recorded. Send them again.") from fault
            self._remember(new)
        return len(new), len(outcomes) - len(new)

    def _remember(self, new: Mapping[str, Outcome]) -> None:
        self._taken.update(dict.fromkeys(new))
        for _ in range(len(self._taken) - REMEMBERED):
            del self._taken[next(iter(self._taken))]


def utc_now() -> datetime:
    """Return the present, UTC, naive, as records have it."""
    return datetime.now(UTC).replace(tzinfo=None)


def _check_fields(entry: Mapping[str, Any]) -> None:
    for name in REQUIRED:
        if entry.get(name) is None:
            raise ContractError(name, "missing", f"'{name}' is missing. An outcome needs it.")
    unknown = sorted(key[:KEY_LENGTH] for key in entry if key not in FIELDS)
    if unknown:
        known = ", ".join(FIELDS)
        raise ContractError(unknown[0], "unknown", f"An outcome has no field {unknown[0]!r}. It has: {known}.")


def _key(name: str, value: Any) -> str | None:
    if value is None:
        return None
    text = str(value) if type(value) is int else value
    if type(text) is not str or not 0 < len(text) <= KEY_LENGTH or not text.isprintable():
        raise ContractError(name, "type", f"'{name}' must be printable text of 1 to {KEY_LENGTH} characters.")
    return text


def _moment(name: str, value: Any) -> datetime:
    try:
        moment: datetime = _time(name, value)
    except ContractError as fault:
        raise ContractError(
            name, fault.rule, f"'{name}' must be a time in ISO 8601, like 2013-01-31T10:00:00Z."
        ) from fault
    return moment
