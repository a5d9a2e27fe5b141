"""Writes the package folder of a version: contract, profile, reference sample, estimator, lineage, card."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
import skops.io
from sklearn.pipeline import Pipeline

from flywheel.contract import Column, ColumnType, Contract
from flywheel.errors import DataError
from flywheel.package import Lineage
from flywheel.profile import MIN_SEEN, ColumnProfile, Profile, Reference
from flywheel.statistics import Floats
from flywheel.usecase import UseCase
from training.evaluate import Scores
from training.model_code import TRUSTED

REFERENCE_ROWS = 5000
QUANTILES = 101
TYPES: dict[type[pl.DataType], ColumnType] = {
    pl.Int64: "long",
    pl.Float64: "double",
    pl.String: "string",
    pl.Boolean: "boolean",
    pl.Datetime: "datetime",
}


@dataclass(frozen=True)
class PackageParts:
    """All that a package is made of.

    `validation` holds the raw inputs of the validation rows in order of time; `label` and `probability` go with them.
    """

    usecase: UseCase
    usecase_path: Path
    contract: Contract
    lineage: Lineage
    estimator: Pipeline
    validation: pl.DataFrame
    label: Floats
    probability: Floats
    scores: Scores
    importances: Mapping[str, float]
    train_rows: int


def contract_from_frame(frame: pl.DataFrame, usecase: UseCase) -> Contract:
    """Make the contract of raw inputs: n_rows by (event time, inputs), typed as `training.sources.rows.load_rows` types them.

    Doubles, text and times other than the event's may be missing in a request even when training saw none missing:
    every family copes, and a measurement that fails must not refuse a prediction. Whole numbers and booleans may not.

    Raises:
        DataError: An input's name ends up twice, or is a key.
    """
    columns = []
    for name, kind in frame.schema.items():
        type_ = TYPES[kind.base_type()]
        nullable = type_ not in ("long", "boolean") and name != usecase.data.event_time
        columns.append(Column(name=name, type=type_, nullable=nullable))
    try:
        return Contract(
            columns=tuple(columns),
            event_time=usecase.data.event_time,
            entity=usecase.data.entity,
            subject=usecase.data.subject,
        )
    except ValueError as fault:
        raise DataError(f"The inputs make no contract: {fault}. Correct the source.") from fault


def write_package(folder: Path, parts: PackageParts) -> None:
    """Write every file of the package into `folder`, which must not exist."""
    folder.mkdir(parents=True)
    home = parts.usecase_path.parent
    shutil.copyfile(parts.usecase_path, folder / "usecase.yaml")
    shutil.copyfile(home / parts.usecase.features, folder / "features.py")
    # One thread a call: the agent sends batches, and a worker shares its machine with others.
    if "n_jobs" in parts.estimator["model"].get_params():
        parts.estimator.set_params(model__n_jobs=1)
    skops.io.dump(parts.estimator, folder / "estimator.skops")
    skops.io.load(folder / "estimator.skops", trusted=TRUSTED)  # what cannot be loaded is found here, not in production
    (folder / "contract.json").write_text(parts.contract.model_dump_json(indent=1))
    (folder / "profile.json").write_text(make_profile(parts).model_dump_json(indent=1))
    (folder / "lineage.json").write_text(parts.lineage.model_dump_json(indent=1))
    reference_sample(parts).write_parquet(folder / "reference.parquet")
    (folder / "card.md").write_text(write_card(parts))


def reference_sample(parts: PackageParts) -> pl.DataFrame:
    """Return at most `REFERENCE_ROWS` validation rows: inputs, `prediction` (0 to 1) and `label` (0 or 1), no key."""
    rows = parts.validation.with_columns(
        prediction=pl.Series(parts.probability), label=pl.Series(parts.label).cast(pl.Int8)
    )
    sample = rows.sample(min(REFERENCE_ROWS, rows.height), seed=parts.lineage.seed)
    return sample.sort(parts.contract.event_time)


def make_profile(parts: PackageParts) -> Profile:
    """Summarise the validation rows, their predictions and losses."""
    start, end = period(parts)
    types = {column.name: column.type for column in parts.contract.columns}
    return Profile(
        rows=parts.validation.height,
        start=start,
        end=end,
        label_share=parts.scores.label_share,
        reference=Reference(
            loss=parts.scores.log_loss,
            standard_error=parts.scores.log_loss_se,
            rows=parts.scores.rows,
            roc_auc=parts.scores.roc_auc,
        ),
        columns=tuple(profile_column(parts.validation[name], kind) for name, kind in types.items()),
        prediction=profile_column(pl.Series("prediction", parts.probability), "double"),
    )


def period(parts: PackageParts) -> tuple[datetime, datetime]:
    """Return the event times (naive UTC) of the first and the last validation row."""
    times = parts.validation[parts.contract.event_time]
    return times.item(0), times.item(-1)


def profile_column(column: pl.Series, kind: ColumnType) -> ColumnProfile:
    """Summarise one column of n_rows: quantiles of numbers and times, shares of categories seen often enough."""
    present = column.drop_nulls()
    missing = 1 - len(present) / len(column)
    if kind in ("string", "boolean"):
        counts = present.cast(pl.String).value_counts(name="rows").filter(pl.col("rows") >= MIN_SEEN)
        shares = {name: rows / len(column) for name, rows in sorted(counts.iter_rows())}
        return ColumnProfile(name=column.name, type=kind, missing_share=missing, categories=shares)
    numbers = present.dt.epoch("us") / 1e6 if kind == "datetime" else present.cast(pl.Float64)
    steps = [step / (QUANTILES - 1) for step in range(QUANTILES)]
    quantiles = tuple(float(numbers.quantile(step, "linear") or 0.0) for step in steps) if len(numbers) else ()
    return ColumnProfile(name=column.name, type=kind, missing_share=missing, quantiles=quantiles)


def write_card(parts: PackageParts) -> str:
    """Say for people what the model is, how it was made and how good it was; Markdown."""
    lineage, scores, (start, end) = parts.lineage, parts.scores, period(parts)
    commit = (lineage.git_commit or "unknown") + (" with uncommitted changes" if lineage.git_dirty else "")
    rows = [
        ("log-loss (nats)", f"{scores.log_loss:.4f} ± {scores.log_loss_se:.4f} (standard error, days as units)"),
        ("ROC AUC", f"{scores.roc_auc:.4f}"),
        ("Brier score", f"{scores.brier:.4f}"),
        ("calibration error", f"{scores.calibration_error:.4f}"),
        ("rows", f"{scores.rows} validation, {parts.train_rows} training"),
        ("label share", f"{scores.label_share:.3f}"),
    ]
    return "\n".join(
        [
            f"# {parts.usecase.name}, trained as of {lineage.as_of.isoformat()}",
            "",
            f"Predicts the probability that `{parts.usecase.data.label.column}` is 1. Family: {lineage.family}, chosen",
            f"in {lineage.trials} trials of study `{lineage.study}`, with {_listed(lineage.params)}.",
            "",
            "## How good it was",
            "",
            f"On validation rows from {start} to {end} UTC, later than all it was fitted on:",
            "",
            "| measure | value |",
            "| --- | --- |",
            *(f"| {name} | {value} |" for name, value in rows),
            "",
            "These figures, the sample and the profile belong to the model fitted on the training rows alone.",
            "The packaged estimator was then fitted again, with the same parameters, on training and validation rows",
            "together: it knows the latest weeks, and has itself not been measured on anything later. The parameters",
            "were chosen on these very rows, so the figures are slightly kind.",
            "",
            "## What moves it",
            "",
            "Rise of the log-loss when a feature is shuffled among validation rows (nats):",
            "",
            *(f"- `{name}`: {rise:+.4f}" for name, rise in list(parts.importances.items())[:10]),
            "",
            "## Where it came from",
            "",
            f"- data: {lineage.data_rows} labelled rows, {lineage.data_digest}",
            f"- code: commit {commit}; run {lineage.run_id}",
            f"- seed {lineage.seed}, Python {lineage.python}, {_listed(lineage.packages)}",
            "",
        ]
    )


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )
