"""usecase.yaml and README.md as `flywheel init` writes them: every choice with the reason beside it."""

import re
from collections.abc import Iterable

import yaml

from flywheel.schema import FIRST_LINE, duration_text
from training.init.columns import Role
from training.init.draft import Draft

SCHEMA_FILE = "usecase.schema.json"
PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_ ./${}-]*(?<! )")
COLUMN = 44


def render_usecase(draft: Draft) -> str:
    """Write the text of usecase.yaml."""
    target, label = draft.target, draft.target.label
    lines = [
        FIRST_LINE.format(SCHEMA_FILE),
        f"# Written by `flywheel init` from {draft.rows:,} rows, {draft.first:%Y-%m-%d} to {draft.last:%Y-%m-%d}.",
        "# Read the comments and correct what is wrong.",
        f"name: {draft.name}",
        _line(f"task: {target.task}", target.why_task),
        "data:",
        *_source(draft),
        *_entity(draft),
        f"  event_time: {scalar(draft.event_time)}",
        _line("  time_zone: UTC", _zone_reason(draft)),
        "  label:",
        f"    column: {scalar(label.column)}",
    ]
    if label.positive is not None:
        lines.append(_line(f"    positive: {scalar(label.positive)}", f"counts as 1; {target.why_positive}"))
    lines.append("    # How long after the event is the label known? Nothing may peek before that, so correct it.")
    lines.append(_line(f"    available_after: {duration_text(label.available_after)}", target.why_delay))
    if label.max_missing != 0.1:
        lines.append(_line(f"    max_missing: {label.max_missing:g}", target.why_missing))
    lines += _exclude(draft)
    length = duration_text(draft.spans.length)
    lines += [
        _line("features: features.py", "what the models see; edit it"),
        "train:",
        _line(f"  validation: {length}", draft.spans.why),
        _line(f"  test: {length}", "the newest rows, held out to the end"),
    ]
    if draft.until is not None:
        lines.append(_line(f"  until: {draft.until:%Y-%m-%dT%H:%M:%S}", "the data lies in the future; drop this later"))
    lines += ["monitor:", _line(f"  window: {length}", "how often the deployed model is judged"), ""]
    return "\n".join(lines)


def render_readme(draft: Draft, folder: str) -> str:
    """Write the text of README.md."""
    label = draft.target.label
    usecase = f"{folder}/usecase.yaml"
    excluded = draft.having(Role.EXCLUDED)
    rows = "".join(f"| {_cell(c.name)} | {c.type} | {c.role.value} | {_cell(c.why)} |\n" for c in draft.columns)
    left = "".join(f"- `{column.name}`: {column.why}.\n" for column in excluded) or "- nothing\n"
    return f"""# {draft.name}

Predicts `{label.column}` ({draft.target.task}) of each row at its `{draft.event_time}`.
Written by `flywheel init` from {draft.source.place}:
{draft.rows:,} rows, {draft.first:%Y-%m-%d} to {draft.last:%Y-%m-%d}.

    flywheel check {usecase}
    mlflow run . --env-manager local -P usecase={usecase}

## Look at these first
1. `label.available_after` in usecase.yaml: how long after the event is the label known? A delay that is too short lets
   training peek at labels that nobody had.
2. Inputs that were not known at the event time. Add them to `data.exclude`; left out already:
{left}3. `time_zone`, and what `features.py` makes of each column.

## Columns
| column | type | role | why |
| --- | --- | --- | --- |
{rows}"""


def scalar(value: object) -> str:
    """Return a value as YAML writes it on one line, quoted where it must be."""
    if isinstance(value, str) and not (PLAIN.fullmatch(value) and yaml.safe_load(value) == value):
        return (
            "'" + value.replace("'", "''") + "'"
            if value.isprintable()
            else yaml.safe_dump(value, width=2**31, default_style='"').strip()
        )
    return str(value).lower() if isinstance(value, bool) else str(value)


def _source(draft: Draft) -> Iterable[str]:
    source = draft.source
    yield "  source:"
    yield f"    kind: {source.kind}"
    if source.path is not None:
        yield _line(f"    path: {scalar(source.path)}", "relative to this file, absolute, or s3://")
        return
    yield _line(f"    database: {scalar(source.database)}", "${NAME} is taken from the environment")
    yield f"    query: {scalar(' '.join(str(source.query).split()) if '--' not in str(source.query) else source.query)}"


def _entity(draft: Draft) -> Iterable[str]:
    if draft.entity is not None:
        yield _line(f"  entity: {scalar(draft.entity)}", draft.why_entity)
    else:
        yield "  # entity: COLUMN: a key in each row, by which outcomes find their predictions later"


def _exclude(draft: Draft) -> Iterable[str]:
    excluded = draft.having(Role.EXCLUDED)
    if not excluded:
        yield "  # exclude: [COLUMN]: what was not known at the event time, or names rows; nothing looked like it"
        return
    yield "  exclude:"
    for column in excluded:
        yield _line(f"    - {scalar(column.name)}", column.why)


def _zone_reason(draft: Draft) -> str:
    if draft.zoned:
        return "the times carry a zone of their own"
    return "the times carry no zone: correct it if their clocks show another"


def _line(text: str, why: str) -> str:
    return f"{text:<{COLUMN}}  # {' '.join(why.split())}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
