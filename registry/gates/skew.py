"""Gate: does the served model answer what training's model answers, and the same to one row as to many?"""

import numpy as np
import polars as pl

from flywheel.limits import Limits
from registry.gates.answers import BATCH, as_frame, differences
from registry.gates.asking import question
from registry.gates.evidence import Measurement
from registry.gates.gate import Candidate, UnmeasurableError, judged
from registry.gates.offline import answers_of

ALONE = 25  # rows that are asked alone


class Skew:
    """Asks MLflow's server about the package's sample and compares with the answers that training recorded.

    A model without recorded answers is compared with itself, loaded and asked without a server.
    """

    name = "skew"
    title = "Served answers against training's"

    def measure(self, candidate: Candidate, limits: Limits) -> Measurement:
        """Ask all rows in company and some of them alone."""
        rows = candidate.rows
        if rows is None or not rows.height:
            raise UnmeasurableError("There are no rows with names to ask about: log the model with an input example.")
        served = served_answers(candidate, rows)
        expected, origin = _expected(candidate, rows)
        against, alone = differences(served, expected), _alone(candidate, rows, served)
        value = float(max(against.max(), alone.max()))
        limit = limits.skew
        place = int(against.argmax())
        return judged(
            limit is None or value <= limit,
            f"Served answers to {rows.height} rows differ from {origin} by at most {against.max():.2g}, and"
            f" {len(alone)} rows asked alone from the same in company by at most {alone.max():.2g}.",
            value=value,
            limit=limit,
            details={
                "rows": rows.height,
                "expected": origin,
                "largest": float(against.max()),
                "alone_largest": float(alone.max()),
                "worst_row": place,
                "rows_over_limit": int(np.sum(against > limit)) if limit is not None else 0,
            },
        )


def served_answers(candidate: Candidate, rows: pl.DataFrame) -> pl.DataFrame:
    """Ask the candidate's server about rows, a thousand at a time.

    Raises:
        UnmeasurableError: It does not answer each row once.
    """
    found = [
        as_frame(candidate.server.ask(question(rows.slice(start, BATCH)))) for start in range(0, rows.height, BATCH)
    ]
    answers = pl.concat(found, how="diagonal_relaxed")
    if answers.height != rows.height:
        raise UnmeasurableError(f"The server gives {answers.height} answers to {rows.height} rows.")
    return answers


def _expected(candidate: Candidate, rows: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    if candidate.sample is not None and candidate.sample.answers is not None:
        return candidate.sample.answers, "those that training recorded"
    offline = answers_of(candidate.folder, rows, python=candidate.python, work=candidate.work)
    return offline, "the model's own without a server (training recorded none)"


def _alone(
    candidate: Candidate, rows: pl.DataFrame, served: pl.DataFrame
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    places = np.unique(np.linspace(0, rows.height - 1, ALONE).astype(int)).tolist()
    asked = [as_frame(candidate.server.ask(question(rows.slice(place, 1)))) for place in places]
    return differences(pl.concat(asked, how="diagonal_relaxed"), served[places])
