"""Counts records against answers: every answered request has exactly one answered record."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from flywheel.demo.replay import Answer
from flywheel.records import NOT_MIRRORED, answered
from flywheel.storage import PredictionLog

DRAIN_SECONDS = 60.0


@dataclass(frozen=True)
class Account:
    """Of `answers` answered requests, how many have no answered record, and how many more than one."""

    answers: int
    missing: int
    doubled: int
    attempts: int


def account(answers: Sequence[Answer], records: pl.DataFrame) -> Account:
    """Compare what clients saw with the prediction log.

    Args:
        answers: What clients saw.
        records: Prediction records with the column `answered`; one request a row of input.
    """
    wanted = {answer.request_id for answer in answers if answer.status == 200}
    ours = records.filter(NOT_MIRRORED & pl.col("request_id").is_in(list(wanted)))
    found = set(ours.filter(pl.col("answered"))["request_id"])
    # `answered` marks one of several records of an attempt: a record written or shipped twice shows by its key only.
    scored = ours.filter(pl.col("status") == "scored").group_by("request_id", "attempt", "row").len()
    several = ours.filter(pl.col("answered")).group_by("request_id").len()
    doubled = {*scored.filter(pl.col("len") > 1)["request_id"], *several.filter(pl.col("len") > 1)["request_id"]}
    return Account(answers=len(wanted), missing=len(wanted - found), doubled=len(doubled), attempts=ours.height)


def wait_for_records(log: PredictionLog, use_case: str, answers: Sequence[Answer]) -> Account:
    """Read the log until nothing is missing, or until shipping should long have ended."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while True:
        result = account(answers, answered(log.predictions(use_case), log.requests(use_case)))
        if not result.missing or time.monotonic() > deadline:
            return result
        time.sleep(0.5)
