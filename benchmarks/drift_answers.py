"""Does what a package holds of answers make false alarms? Years without change, held against answers of several makers.

    python -m benchmarks.drift_answers [--json FILE] [--quick]

Ninety days train a version through the product's own functions, split as the flights are (21 days of validation and of
test); it then answers for a year in which nothing changes. The watch learns from the training rows' blocks, with one of
these as `prediction`: nothing; what fits of every other week say of the weeks between (what training packs); what the
fit on the train part says of later rows; the version's own answers to fresh rows, of all days and of the newest half.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table
from scipy import stats

from flywheel.goals import Goal, goal, write_goals
from flywheel.profiling.profile import profile_rows
from flywheel.profiling.watched import ANSWERS, PREDICTION, input_types
from flywheel.statistics import Floats
from flywheel.usecase import load_usecase
from monitoring.drift.watch import learn
from training.candidate import make_candidate
from training.data.dataset import Rows
from training.families.catalogue import choose_families
from training.metrics import choose_metric
from training.packaging.blocks import reference_blocks
from training.packaging.model_code import calibrate, encode, predict_matrix
from training.prepare import Prepared, encode_rows, prepare
from training.search.plan import make_plan
from training.search.search import Found
from training.search.trial import Trials, fit
from training.unseen import unseen_answers

BEGIN, DAY = datetime(2023, 1, 2), timedelta(days=1)
TRAINED, LIVE = 90, 365
BUDGET, CONFIDENCE = 1.0, 0.99
SEED = 71_000  # none of these years served to choose anything
PACKED, NEWEST = "weeks in turn", "train part's fit, newest days"
OWN, OWN_NEWEST, NONE = "the version's own, fresh rows", "the version's own, newest days", "none"
MAKERS = (NONE, PACKED, NEWEST, OWN, OWN_NEWEST)
FEATURES = "def features(frame):\n    return frame.drop('at')\n"


@dataclass(frozen=True)
class Cell:
    """A world: rows a day, the part of the variance that is a day's own, and the family that is fitted."""

    rows: int
    rho: float
    family: str


def main() -> None:
    """Live all years, print the table, and write the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="two years a cell instead of eight")
    options = parser.parse_args()
    cells = [Cell(*one) for one in product((30, 200), (0.0, 0.05), ("xgboost", "logistic"))]
    rows = list(lived(cells, 2 if options.quick else 8))
    goals = goals_of(rows)
    show(rows, goals)
    if options.json:
        write_goals(options.json, goals, rows)


def lived(cells: list[Cell], years: int) -> Iterator[dict[str, Any]]:
    """Yield the alarms of each cell by maker of answers."""
    for number, cell in enumerate(cells):
        found = [alarms_of(cell, SEED + 100 * number + year) for year in range(years)]
        for maker in MAKERS:
            alarms = sum(one[maker][0] for one in found)
            named = sum(one[maker][1] for one in found)
            low = float(stats.chi2.ppf(1 - CONFIDENCE, 2 * alarms) / 2 / years) if alarms else 0.0  # Garwood 1936
            figures = {"years": years, "alarms": alarms, "naming_predictions": named, "rate": alarms / years}
            yield {**asdict(cell), "answers": maker, **figures, "low": low}


def goals_of(rows: list[dict[str, Any]]) -> list[Goal]:
    """Hold what is packed against the budget, and against a watch that knows no answers."""
    packed = [row for row in rows if row["answers"] == PACKED]
    return [goal("cells_over_budget", sum(row["low"] > BUDGET for row in packed), "==", 0)]


def alarms_of(cell: Cell, seed: int) -> dict[str, tuple[int, int]]:
    """Return, by maker, the alarms of one year, and how many of them name predictions."""
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as place:
        world, makers = trained(Path(place), cell, random)
        live = world.answered(drawn(cell, random, TRAINED, LIVE))
        return {maker: world.alarms(answers, live) for maker, answers in makers.items()}


@dataclass(frozen=True)
class Trained:
    """A version: its use case's rows, and how it answers."""

    prepared: Prepared
    model: Any
    encoding: list[dict[str, Any]]
    calibration: Mapping[str, Any]

    def answered(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows with the version's answers as `prediction`."""
        matrix = encode(self.prepared.features_of(rows), self.encoding)
        return rows.with_columns(pl.Series(PREDICTION, self.corrected(predict_matrix(self.model, matrix, "binary"))))

    def corrected(self, raw: Floats) -> Floats:
        """Return answers as they are served."""
        return calibrate(raw, dict(self.calibration))

    def alarms(self, answers: pl.DataFrame, live: pl.DataFrame) -> tuple[int, int]:
        """Judge live days, (n_rows, …), against the training rows with these answers."""
        prepared, drift = self.prepared, self.prepared.usecase.monitor.drift
        reference = reference_blocks(prepared.split.rows, prepared.contract, prepared.usecase, answers)
        kinds = {**input_types(prepared.contract), PREDICTION: ANSWERS["binary"][PREDICTION]}
        series = profile_rows(live, kinds, "at", scale=reference.scale.only(kinds))
        watch = learn(reference, drift)
        found = [look for look in map(watch.take, series.blocks) if look.alarm]
        return len(found), sum(any(one.stream.column == PREDICTION for one in look.moved) for look in found)


def trained(folder: Path, cell: Cell, random: np.random.Generator) -> tuple[Trained, dict[str, pl.DataFrame]]:
    """Train a version on ninety days; return it, and answers by maker: event time and `prediction`."""
    prepared = prepare(
        load_usecase(written(folder, cell, random)), folder / "usecase.yaml", BEGIN + (TRAINED + 1) * DAY
    )
    dataset = encode_rows(prepared, folder / "encoded")
    plan = make_plan(prepared.usecase, folder, dataset, as_of=prepared.as_of, trials=1)
    (family,) = choose_families((cell.family,), "binary", folder)
    metric = choose_metric("binary", None)
    trials = Trials(dataset, (family,), metric, threads=1, pruning=False, worker="benchmark")
    fitted, value = trials.fit_fold(family, family.defaults("binary"), 0, seed=plan.seed)
    found = Found(family, fitted.params, value, 0, (), plan.study, {})
    candidate = make_candidate(prepared, dataset, plan, found)
    model = fit(family, found.params, dataset, dataset.everything, seed=plan.seed, threads=1).model
    version = Trained(prepared, model, dataset.columns.document(), candidate.calibration)
    rows, cut = prepared.split.rows, dataset.folds[0].train.stop
    later = Rows(cut, rows.height)
    raw = predict_matrix(candidate.model, later.take(dataset.matrix), "binary")
    fresh = version.answered(drawn(cell, random, 0, TRAINED)).select("at", PREDICTION)
    packed = unseen_answers(prepared, dataset, candidate.calibration, plan=plan, found=found)
    return version, {
        NONE: fresh.head(0),
        PACKED: packed,
        NEWEST: rows[cut:].select("at").with_columns(pl.Series(PREDICTION, version.corrected(raw))),
        OWN: fresh,
        OWN_NEWEST: fresh.filter(pl.col("at") >= rows["at"].item(cut)),
    }


def written(folder: Path, cell: Cell, random: np.random.Generator) -> Path:
    """Write rows, features and use case; return the last's path."""
    drawn(cell, random, 0, TRAINED).write_parquet(folder / "rows.parquet")
    (folder / "features.py").write_text(FEATURES)
    label = {"column": "late", "available_after": "1d"}
    data = {"source": {"kind": "parquet", "path": "rows.parquet"}, "event_time": "at", "label": label}
    document = {"name": "still", "data": data, "train": {"families": [cell.family], "validation": "21d"}}
    (folder / "usecase.yaml").write_text(json.dumps(document))  # JSON is YAML
    return folder / "usecase.yaml"


def drawn(cell: Cell, random: np.random.Generator, first: int, days: int) -> pl.DataFrame:
    """Draw days from `first` on: eight inputs, of which four and the label have effects of their day."""
    count = days * cell.rows
    day, own = np.arange(count) // cell.rows, math.sqrt(cell.rho)
    x = random.normal(size=(count, 8))
    x[:, :4] = math.sqrt(1 - cell.rho) * x[:, :4] + own * random.normal(size=(days, 4))[day]
    group = random.integers(0, 6, size=count)
    pull = 0.8 * x[:, 0] + 0.6 * x[:, 1] * x[:, 2] + 0.4 * np.abs(x[:, 4]) + 0.3 * np.sin(2 * x[:, 5])
    pull += 0.3 * (group == 2) - 0.8 * (group == 4) - 0.5 + own * random.normal(size=days)[day]
    at = [BEGIN + DAY * (first + number / cell.rows) for number in range(count)]
    late = (random.random(count) < 1 / (1 + np.exp(-pull))).astype(np.int8)
    inputs = {f"x{number}": x[:, number] for number in range(8)} | {"group": [f"g{code}" for code in group]}
    return pl.DataFrame({"at": pl.Series(at, dtype=pl.Datetime("us")), **inputs, "late": late})


def show(rows: list[dict[str, Any]], goals: list[Goal]) -> None:
    """Print alarms a year by cell and maker."""
    table = Table(title="False alarms a year (naming predictions), by whose answers the watch learned", width=150)
    for name in ("rows a day", "ρ", "family", "years", *MAKERS):
        table.add_column(name, justify="right")
    for cell in dict.fromkeys((row["rows"], row["rho"], row["family"], row["years"]) for row in rows):
        own = [row for row in rows if (row["rows"], row["rho"], row["family"], row["years"]) == cell]
        shown = [f"{row['rate']:.2f} ({row['naming_predictions'] / row['years']:.2f})" for row in own]
        table.add_row(*map(str, cell), *shown)
    console = Console(width=150)
    console.print(table)
    for one in goals:
        console.print(
            f"{one.name}: {one.value:g} (target {one.comparison} {one.target:g}): {'met' if one.met else 'MISSED'}"
        )


if __name__ == "__main__":
    main()
