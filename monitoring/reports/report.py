"""Evidently's reports on one window, for people to read: drift of the inputs, and quality where labels are known.

Runs as a process of its own, `python -m monitoring.reports.report`: it imports Evidently (7 s, so it starts before the
window is read), reads jobs from standard input, a JSON line each, writes their files, and ends when its caller is gone.
No decision depends on it: Evidently's tests make no allowance for many columns, many looks or rows of one day.
"""

import contextlib
import html
import json
import os
import re
import sys
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from monitoring.reports.process import ReportJob

with warnings.catch_warnings():
    # Evidently 0.7.23 reaches into numpy.core, has a stray escape sequence, and pulls in litestar, which deprecates.
    warnings.filterwarnings("ignore", message="numpy.core is deprecated", category=DeprecationWarning)
    warnings.filterwarnings("ignore", message="invalid escape sequence", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"litestar\..*")
    from evidently import BinaryClassification, DataDefinition, Dataset, MulticlassClassification, Regression, Report
    from evidently.presets import ClassificationQuality, DataDriftPreset, RegressionQuality

    from monitoring.reports.workspace import keep

MAX_ROWS = 5_000
SEED = 7
# The Jensen-Shannon distance of two equal samples is about ½ √(categories / rows): .07 here, Evidently alarms at .1.
ROWS_PER_CATEGORY = 50
PREDICTION, LABEL = "prediction", "label"
# MLflow shows pages in a narrow frame, where Evidently's figures run into each other.
NARROW = "<style>@media (max-width: 1000px) { body { zoom: 0.5 } }</style>"


@dataclass(frozen=True)
class Columns:
    """Which columns the drift report shows, and which it leaves out, each with the reason."""

    numerical: list[str]
    categorical: list[str]
    left_out: dict[str, str]

    @property
    def note(self) -> str:
        """What is left out and why, for people; '' where nothing is."""
        return "; ".join(f"{name}: {reason}" for name, reason in self.left_out.items())


def sample(frame: pd.DataFrame) -> pd.DataFrame:
    """Return at most MAX_ROWS rows, the same ones each time."""
    return frame if len(frame) <= MAX_ROWS else frame.sample(MAX_ROWS, random_state=SEED)


def columns_of(current: pd.DataFrame, reference: pd.DataFrame) -> Columns:
    """Sort the columns that both frames have by type; times and the label are no inputs."""
    numerical: list[str] = []
    categorical: list[str] = []
    left_out: dict[str, str] = {}
    for name in reference.columns:
        if name == LABEL or pd.api.types.is_datetime64_any_dtype(reference[name]):
            continue
        is_number = pd.api.types.is_numeric_dtype(reference[name]) and not pd.api.types.is_bool_dtype(reference[name])
        why = "the window has no such column" if name not in current.columns else ""
        if why := why or _unfit(current[name], reference[name], is_number=is_number):
            left_out[name] = why
        else:
            (numerical if is_number else categorical).append(name)
    return Columns(numerical, categorical, left_out)


def _unfit(current: pd.Series, reference: pd.Series, *, is_number: bool) -> str:
    """Say why a column is no matter for Evidently's tests; '' where it is one."""
    for column, where in ((current, "window"), (reference, "reference")):
        if column.isna().all():
            return f"the {where} has no value of it"
    values, rows = max(current.nunique(), reference.nunique()), min(len(current), len(reference))
    if is_number or values <= rows / ROWS_PER_CATEGORY:
        return ""
    return f"{values:,} values in {rows:,} rows, where noise alone would look like drift"


def drift(current: pd.DataFrame, reference: pd.DataFrame, at: datetime | None = None) -> tuple[Any, Columns]:
    """Compare inputs and predictions of the window with the reference; returns Evidently's snapshot and the columns.

    `at` is the time under which the workspace shows it; now by default.
    """
    columns = columns_of(current, reference)
    names = columns.numerical + columns.categorical
    definition = DataDefinition(numerical_columns=columns.numerical, categorical_columns=columns.categorical)
    # Text: a list is taken here, and then its pages fail over it (evidently 0.7.23).
    snapshot = Report([DataDriftPreset()], metadata={"left_out": columns.note} if columns.note else {}).run(
        Dataset.from_pandas(_plain(current, columns), data_definition=definition),
        Dataset.from_pandas(_plain(reference[names], columns), data_definition=definition),
        timestamp=at,
    )
    return snapshot, columns


@dataclass(frozen=True)
class Quality:
    """How Evidently reads a task's labels and predictions, and what it shows of them."""

    label: str
    least: int  # values that must occur
    definition: Any
    preset: Any


QUALITIES = {
    "binary": Quality(
        label="int",
        least=2,
        definition=DataDefinition(
            numerical_columns=[PREDICTION],
            categorical_columns=[LABEL],
            classification=[BinaryClassification(target=LABEL, prediction_probas=PREDICTION, pos_label=1)],
        ),
        preset=ClassificationQuality(conf_matrix=True, pr_curve=True),
    ),
    "multiclass": Quality(
        label="object",
        least=3,  # Evidently 0.7.23 takes two classes for 0 and 1, and fails
        definition=DataDefinition(
            categorical_columns=[PREDICTION, LABEL],
            classification=[MulticlassClassification(target=LABEL, prediction_labels=PREDICTION)],
        ),
        preset=ClassificationQuality(conf_matrix=True),
    ),
    "regression": Quality(
        label="float64",
        least=2,
        definition=DataDefinition(
            numerical_columns=[PREDICTION, LABEL], regression=[Regression(target=LABEL, prediction=PREDICTION)]
        ),
        preset=RegressionQuality(pred_actual_plot=True, error_plot=True, error_distr=True),
    ),
}


def quality(current: pd.DataFrame, reference: pd.DataFrame, task: str, at: datetime | None = None) -> Any | None:
    """Compare the quality of predictions on labelled rows; None where too few values occur to tell any."""
    how = QUALITIES[task]
    labelled = [
        frame.dropna(subset=[PREDICTION, LABEL])[[PREDICTION, LABEL]].astype({LABEL: how.label})
        for frame in (current, reference)
    ]
    if any(_occurring(frame, task) < how.least for frame in labelled):
        return None
    datasets = (Dataset.from_pandas(frame, data_definition=how.definition) for frame in labelled)
    return Report([how.preset]).run(*datasets, timestamp=at)


def _occurring(frame: pd.DataFrame, task: str) -> int:
    values = frame if task == "multiclass" else frame[[LABEL]]
    return int(pd.unique(values.to_numpy().ravel()).size)


def build(job: ReportJob) -> list[Path]:
    """Write `drift.html` and `drift.json`, and the same for `quality` where it can be told; returns the files."""
    current, reference = sample(pd.read_parquet(job.current)), sample(pd.read_parquet(job.reference))
    at = datetime.fromisoformat(job.at) if job.at else None
    compared, columns = drift(current, reference, at)
    made = {"drift": compared, "quality": quality(current, reference, job.task, at)}
    snapshots = {name: snapshot for name, snapshot in made.items() if snapshot is not None}
    written = []
    for name, snapshot in snapshots.items():
        page, figures = Path(job.folder) / f"{name}.html", Path(job.folder) / f"{name}.json"
        text = snapshot.get_html_str(as_iframe=False).replace("<body", f"{NARROW}<body", 1)
        page.write_text(_with_note(text, columns.note) if name == "drift" else text)
        figures.write_text(snapshot.json())
        written += [page, figures]
    if job.workspace:
        _keep(job, snapshots)
    return written


def _with_note(page: str, note: str) -> str:
    """Say on a page of Evidently's what it does not show."""
    if not note:
        return page
    said = f'<p style="font: 14px sans-serif; margin: 1em 2em">Left out: {html.escape(note)}.</p>'
    return re.sub(r"<body[^>]*>", lambda found: found[0] + said, page, count=1)


def _keep(job: ReportJob, snapshots: Mapping[str, Any]) -> None:
    """Put them into the workspace as well; the report stands without it."""
    try:
        named = {f"{name}{f', {job.window}' if job.window else ''}": one for name, one in snapshots.items()}
        keep(Path(job.workspace), job.use_case, named)
    except Exception as fault:  # noqa: BLE001  # whatever a workspace of another release raises
        sys.stderr.write(f"The workspace {job.workspace} does not take the report: {type(fault).__name__}: {fault}\n")


def _plain(frame: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Give Evidently the types it counts well: floats (no nullable integers) and text."""
    kept = frame[columns.numerical + columns.categorical]
    text = dict.fromkeys(columns.categorical, "string")
    return kept.astype({**dict.fromkeys(columns.numerical, "float64"), **text}).astype(
        dict.fromkeys(columns.categorical, "object")
    )


def main() -> None:
    """Serve jobs, a line each, until standard input ends; a report that fails is answered with why."""
    # What libraries print must not stand between the answers.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1) as answers, contextlib.redirect_stdout(sys.stderr):
        for line in sys.stdin:
            answers.write(json.dumps(_answer(line)) + "\n")


def _answer(line: str) -> dict[str, Any]:
    try:
        return {"files": [str(path) for path in build(ReportJob(**json.loads(line)))]}
    except Exception as fault:  # noqa: BLE001  # whatever Evidently raises over somebody's rows; the next may do
        traceback.print_exc()
        said = (str(fault).strip() or "no message").splitlines()[0].rstrip(".")
        return {"fault": f"{type(fault).__name__}: {said}."}


if __name__ == "__main__":
    main()
