"""How the rows of one version are profiled: which columns, on whose scale, in blocks of which length."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import polars as pl

from flywheel.column_rules import ColumnType
from flywheel.fields import read_fields
from flywheel.package import ModelPackage
from flywheel.profiling.profile import profile_rows
from flywheel.profiling.scale import Scale
from flywheel.profiling.series import DAY, Series
from flywheel.profiling.series_file import read_series
from flywheel.profiling.watched import ANSWERS, LABEL, PREDICTION, input_types
from flywheel.usecase import Task
from monitoring.windows.raw import raw

# By version; None for one whose package is not here.
Lenses = Callable[[str], "Lens | None"]
# Of the log's records; stands beside inputs, which may be called anything else.
TIME = "\x1fevent_time"


@dataclass(frozen=True)
class Lens:
    """What a version's rows are looked at through.

    Args:
        task: What it predicts.
        inputs: Types by name.
        scale: Of its reference; without columns where the package has no blocks: then nothing is scored.
        every: The length of a block.
    """

    task: Task
    inputs: Mapping[str, ColumnType]
    scale: Scale = field(default_factory=lambda: Scale(()))
    every: timedelta = DAY

    @property
    def answer(self) -> str:
        """Which output is the prediction."""
        return "probability" if self.task == "binary" else "prediction"

    def table(self, records: pl.DataFrame) -> pl.DataFrame:
        """Return what of records (n_rows) is profiled: their time, inputs, and answers as the model gave them."""
        answers = read_fields(records, "outputs", {self.answer: ANSWERS[self.task][PREDICTION]}).to_series()
        if self.task == "binary":
            points = next((one.quantiles for one in self.scale.columns if one.name == PREDICTION), ())
            answers = raw(answers, records, points)
        inputs = read_fields(records, "inputs", self.inputs)
        return inputs.with_columns(answers.alias(PREDICTION), records["event_time"].alias(TIME))

    def answered(self, table: pl.DataFrame) -> Series:
        """Profile what `table` returned, of any number of records."""
        return self._profile(table, {**self.inputs, PREDICTION: ANSWERS[self.task][PREDICTION]})

    def labelled(self, rows: pl.DataFrame) -> Series:
        """Profile the outcomes of rows (n_rows) by (event_time, outcome, label), all of them known."""
        said = rows["label" if self.task == "multiclass" else "outcome"]
        table = pl.DataFrame([rows["event_time"].alias(TIME), said.alias(LABEL)])
        return self._profile(table, {LABEL: ANSWERS[self.task][LABEL]})

    def _profile(self, table: pl.DataFrame, kinds: Mapping[str, ColumnType]) -> Series:
        made = profile_rows(table, kinds, TIME, every=self.every, scale=self.scale.only(kinds))
        # Parts of one version's columns go together, so all are said to be on the whole scale.
        return replace(made, scale=self.scale)


def lens_of(package: ModelPackage) -> Lens:
    """Return what the rows of a package's version are looked at through.

    Raises:
        IntegrityError: Its blocks are damaged.
    """
    task, inputs = package.usecase.task, input_types(package.contract)
    every = package.usecase.monitor.drift.block
    scale = read_series(package.blocks).scale if package.blocks is not None else Scale(())
    return Lens(task, inputs, scale, every)
