"""features.py as `flywheel init` writes it: explicit lists and expressions, for people to edit."""

import json
from collections.abc import Iterable
from datetime import timedelta

from training.init.columns import Column, Role, Treatment
from training.init.draft import Draft

LISTS = (
    (Treatment.NUMBER, "NUMBERS", "Numbers, as they are; models take missing values."),
    (Treatment.FLAG, "FLAGS", "True or false, as they are."),
    (Treatment.TEXT, "TEXT", "Text, as it is: each value is a category."),
    (Treatment.CODE, "CODES", "Whole numbers that name things: as text, because 40 is not twice 20."),
)


def render_features(draft: Draft) -> str:
    """Write the module's text."""
    inputs = draft.having(Role.INPUT)
    lists, parts = [], []
    for treatment, constant, comment in LISTS:
        names = [column.name for column in inputs if column.treatment is treatment]
        if names:
            lists.append(f"# {comment}\n{constant} = [\n" + "".join(f"    {_text(name)},\n" for name in names) + "]\n")
            parts.append(
                f"*(pl.col(name).cast(pl.String) for name in {constant})" if treatment is Treatment.CODE
                else f"*{constant}"
            )  # fmt: skip
    taken = {column.name for column in inputs}
    named = [*_since(inputs, draft.event_time), *_calendar(draft)]
    parts += [f"{expression}.alias({_text(_free(name, taken))})" for name, expression in named]
    body = "".join(f"        {part},\n" for part in parts)
    time = f"    time = pl.col({_text(draft.event_time)})\n" if named else ""
    return (
        f'"""What the models see of a row of {draft.name}, each row from itself alone."""\n\nimport polars as pl\n\n'
        + "\n".join(lists)
        + '\n\ndef features(frame: pl.DataFrame) -> pl.DataFrame:\n    """Return one row for each of `frame`, in its'
        ' order: numbers, booleans, and text as categories."""\n' + f"{time}    return frame.select(\n{body}    )\n"
    )


def _since(inputs: Iterable[Column], event_time: str) -> Iterable[tuple[str, str]]:
    """Give hours since each time among the inputs."""
    for column in inputs:
        if column.treatment not in (Treatment.MOMENT, Treatment.MOMENT_TEXT):
            continue
        moment = f"pl.col({_text(column.name)})"
        if column.treatment is Treatment.MOMENT_TEXT:
            style = str(column.style)
            zone = ".dt.replace_time_zone(None)" if style.endswith("%#z") else ""
            moment += f'.str.strip_chars().str.to_datetime({_text(style)}, time_unit="us", strict=False){zone}'
        yield f"{column.name}_hours_before", f"((time - {moment}).dt.total_seconds() / 3600)"


def _calendar(draft: Draft) -> Iterable[tuple[str, str]]:
    """Give the parts of the event time that come round often enough in the data to be learnt from."""
    span = draft.last - draft.first
    if draft.hours:
        yield "hour", "time.dt.hour()"
    if span >= timedelta(days=14):
        yield "weekday", "time.dt.weekday()"
    if span >= timedelta(days=730):
        yield "month", "time.dt.month()"


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"event_{name}"
    taken.add(name)
    return name


def _text(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
