"""Outcomes that clients report: read, checked, and taken once, however often they are sent.

All that a client says of an outcome makes its `outcome_id`: sent again it is the same, and a correction is another,
which then counts, because it was known later. So does taking a correction back: a repeat is only what says the same as
the newest report of its event. This process remembers those; what another agent took as well is known by the id.
"""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import orjson

from deploy.agent.json_body import read_json
from deploy.agent.refusal import RefusalError
from flywheel.column_rules import Column, value_check
from flywheel.contract import KEY_LENGTH, PROBABILITY, Contract
from flywheel.errors import ContractError

FIELDS = ("prediction_id", "entity", "outcome", "label", "event_time", "time_known", "source")
SOURCE = "feedback"
REMEMBERED = 100_000
PREDICTION_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
AHEAD = timedelta(days=1)  # of our clock: what is later is a mistake, and would count for ever as the newest

Outcome = dict[str, Any]
# Prediction, entity, time of the event.
Event = tuple[str | None, str | None, datetime]
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
    """Reads the outcomes of one contract: names of classes where it answers with classes, else numbers.

    Where it answers the probability of 1, an outcome is 0 or 1. The name of a class may come as `outcome` or `label`.
    """

    def __init__(self, contract: Contract, max_rows: int) -> None:
        self._classes = contract.outputs[0].type == "string"
        self._binary = contract.outputs[0] == PROBABILITY
        self._max_rows = max_rows

    def read(self, body: bytes, now: datetime) -> list[Outcome]:
        """Return the outcomes of a body, at least one: `{"outcomes": [...]}`, or one outcome alone.

        Args:
            body: JSON.
            now: UTC, naive; stands for a `time_known` that is not given.

        Raises:
            RefusalError: It is no JSON, has none of the forms, or an outcome says something impossible.
        """
        document = read_json(body)
        if type(document) is not dict:
            raise RefusalError("form", "The body must be an object: one outcome, or 'outcomes', a list of them.")
        entries = document["outcomes"] if document.keys() == {"outcomes"} else [document]
        if type(entries) is not list or not entries or not all(type(entry) is dict for entry in entries):
            raise RefusalError("form", "'outcomes' must be a list of objects, at least one.")
        if len(entries) > self._max_rows:
            raise RefusalError("size", f"There are {len(entries)} outcomes, more than {self._max_rows}. Split them.")
        # Each is known a microsecond after the one before, so that of several reports of one event the last counts.
        tick = timedelta(microseconds=1)
        return [self._outcome(entry, index, now + index * tick) for index, entry in enumerate(entries)]

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
        if owner["prediction_id"] is not None and PREDICTION_ID.fullmatch(owner["prediction_id"]) is None:
            wish = "must be as the answer's header x-flywheel-prediction-id names it"
            raise ContractError("prediction_id", "type", f"'prediction_id' {wish}. Correct it, or send 'entity'.")
        event_time = _moment("event_time", entry["event_time"])
        time_known = now if entry.get("time_known") is None else _moment("time_known", entry["time_known"])
        if time_known < event_time:
            raise ContractError("time_known", "range", "The outcome is known before its event. Correct its times.")
        if time_known > now + AHEAD:
            raise ContractError("time_known", "range", "'time_known' lies in the future. Correct it.")
        source = SOURCE if entry.get("source") is None else _key("source", entry["source"])
        outcome = owner | self._value(entry) | {"event_time": event_time, "time_known": time_known, "source": source}
        said = outcome | {"time_known": None if entry.get("time_known") is None else time_known}
        return outcome | {"outcome_id": hashlib.sha256(orjson.dumps(said)).hexdigest()[:32]}

    def _value(self, entry: Mapping[str, Any]) -> Outcome:
        given = [name for name in ("outcome", "label") if entry.get(name) is not None]
        if len(given) != 1:
            raise ContractError("outcome", "missing", "An outcome needs 'outcome', or else 'label'. Send one of them.")
        value = entry[given[0]]
        if self._classes:
            if type(value) is not str or not value.strip() or len(value) > KEY_LENGTH:
                raise ContractError(given[0], "type", "An outcome is the name of a class here. Send it as text.")
            return {"outcome": None, "label": value}
        if given == ["label"]:
            raise ContractError("label", "unknown", "An outcome is a number here. Send it as 'outcome'.")
        if type(value) not in (int, float, bool) or not math.isfinite(value):
            raise ContractError("outcome", "type", "'outcome' must be a finite number, or true or false. Send one.")
        if self._binary and value not in (0, 1):
            raise ContractError(
                "outcome", "range", "'outcome' must be 0 or 1, as the model answers a probability of 1."
            )
        return {"outcome": float(value), "label": None}


class Feedback:
    """Takes outcomes into a sink, each once. One task calls it at a time."""

    def __init__(self, sink: OutcomeSink) -> None:
        self._sink = sink
        self._newest: dict[Event, str] = {}  # ids, by what was reported on

    def take(self, outcomes: Sequence[Outcome]) -> tuple[int, int]:
        """Write what is new; return how many were accepted, and how many had been sent before.

        Raises:
            RefusalError: They could not be written: none was taken.
        """
        newest: dict[Event, str] = {}
        new = []
        for entry in outcomes:
            event = (entry["prediction_id"], entry["entity"], entry["event_time"])
            if newest.get(event, self._newest.get(event)) != entry["outcome_id"]:
                newest[event] = entry["outcome_id"]
                new.append(entry)
        if new:
            try:
                self._sink.append(new)
            except OSError as fault:
                raise RefusalError("log", "The outcomes could not be recorded. Send them again.") from fault
            self._remember(newest)
        return len(new), len(outcomes) - len(new)

    def _remember(self, newest: Mapping[Event, str]) -> None:
        self._newest.update(newest)
        for _ in range(len(self._newest) - REMEMBERED):
            del self._newest[next(iter(self._newest))]


def utc_now() -> datetime:
    """Return the present, UTC, naive, as records have it."""
    return datetime.now(UTC).replace(tzinfo=None)


def _check_fields(entry: Mapping[str, Any]) -> None:
    if entry.get("event_time") is None:
        raise ContractError("event_time", "missing", "'event_time' is missing. An outcome needs it.")
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
