"""`flywheel rows` and `flywheel odd-outcomes`: what an alert is about, with ids."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flywheel.errors import UsageError
from flywheel.settings import load_settings
from flywheel.usecase import load_usecase
from monitoring.rows.question import KNOWN, Question, read_having
from monitoring.times import parse_time

if TYPE_CHECKING:
    import polars as pl

    from monitoring.windows.window import Span

app = typer.Typer()
EVER = timedelta(days=36_500)
Limit = Annotated[int, typer.Option(min=1, help="Show so many at most.")]
Json = Annotated[bool, typer.Option("--json", help="JSON for machines.")]
BY_HELP = (
    "Sort by `loss` or a column, the greatest first; by time by default. `known`: by when outcomes became known, and"
    " the span is of these times."
)
EXAMPLE = (
    "Example: flywheel rows examples/flights/usecase.yaml --start 2013-06-01 --end 2013-06-08 --having carrier=UA"
    " --by loss"
)


@app.command(epilog=EXAMPLE)
def rows(
    use_case: Annotated[Path, typer.Argument(metavar="USECASE", help="Path of a usecase.yaml.")],
    start: Annotated[str | None, typer.Option(help="Start of event time (ISO 8601, UTC); a window ago.")] = None,
    end: Annotated[str | None, typer.Option(help="Its end, excluded; now by default.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="Show it and hold it against training. Repeatable.")] = None,
    missing: Annotated[bool, typer.Option("--missing", help="Only rows in which a --column has no value.")] = False,
    having: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="Only such rows; spans as slices name them, and (new)."),
    ] = None,
    by: Annotated[str, typer.Option(help=BY_HELP)] = "",
    version: Annotated[str, typer.Option(help="Only rows that it answered.")] = "",
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """Show rows of the prediction log: which ones an alert is about, their ids, and training's values beside theirs."""
    span = _span(start, end, load_usecase(use_case).monitor.window)
    try:
        pairs = read_having(having or ())
    except ValueError as fault:
        raise UsageError(f"--having '{fault}' is no COLUMN=VALUE. Write one like carrier=UA.") from fault
    _show(use_case, span, Question(tuple(column or ()), missing, pairs, by, version), limit, as_json)


@app.command("odd-outcomes", epilog="Example: flywheel odd-outcomes examples/flights/usecase.yaml unknown")
def odd_outcomes(
    use_case: Annotated[Path, typer.Argument(metavar="USECASE", help="Path of a usecase.yaml.")],
    kind: Annotated[str, typer.Argument(help="unknown, before, contradictory or skewed.")],
    start: Annotated[str | None, typer.Option(help="Known from then on (ISO 8601, UTC); ever by default.")] = None,
    end: Annotated[str | None, typer.Option(help="Known before; now by default.")] = None,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """Show reports of outcomes that join no prediction, come before it, contradict each other or have a wrong clock."""
    from flywheel.storage import PredictionLog  # Delta and polars: `flywheel --help` imports this module
    from monitoring.rows.window import ODD, odd_reports

    if kind not in ODD:
        raise UsageError(f"'{kind}' is no way for a report to be odd. Ways: {', '.join(ODD)}.")
    log, span = PredictionLog(load_settings().root / "log"), _span(start, end, EVER)
    found = odd_reports(log, load_usecase(use_case), kind, span)
    _tell(found, [], limit, as_json, what=f"reports of outcomes are odd ({kind}), the newest first")


def _span(start: str | None, end: str | None, length: timedelta) -> "Span":
    from monitoring.windows.window import Span  # polars

    now = datetime.now(UTC).replace(tzinfo=None)
    until = now if end is None else parse_time("--end", end)
    since = until - length if start is None else parse_time("--start", start)
    return Span(since, until, max(now, until))


def _show(file: Path, span: "Span", question: Question, limit: int, as_json: bool) -> None:
    from flywheel.storage import PredictionLog
    from monitoring.packages import Packages, digests_by_version
    from monitoring.rows.selection import ordered, select
    from monitoring.rows.window import profiles_of, window_rows
    from monitoring.windows.window import read_window

    settings, use_case = load_settings(), load_usecase(file)
    log = PredictionLog(settings.root / "log")
    window = read_window(log, use_case, span, by="known" if question.by == KNOWN else "event")
    packages = Packages(settings.root, use_case.name).answering(digests_by_version(window.rows))
    if not window.rows.height:
        raise UsageError(f"{use_case.name} answered nothing from {span}. Choose another --start and --end.")
    version = question.version or next(iter(packages), "")
    profiles = profiles_of(packages[version]) if version in packages else {}
    found = select(window_rows(window, use_case, packages), question, profiles)
    what = f"of {found.of:,} rows of {use_case.name} from {span}, {ordered(question)}"
    _tell(found.rows, list(found.sentences), limit, as_json, what=what)


def _tell(found: "pl.DataFrame", sentences: list[str], limit: int, as_json: bool, *, what: str) -> None:
    """Print rows as a table or as JSON."""
    shown = found.head(limit)
    if as_json:
        document = {"rows": shown.to_dicts(), "found": found.height, "sentences": sentences}
        typer.echo(json.dumps(document, default=str, indent=1))
        return
    typer.echo(f"{found.height:,} {what}." + (f" The first {limit}:" if found.height > limit else ""))
    for sentence in sentences:
        typer.echo(f"{sentence}.")
    typer.echo(_table(shown))
    if known := shown["prediction_id"].drop_nulls().to_list():
        typer.echo(f"One of them whole: flywheel log find {known[0]}")


def _table(shown: "pl.DataFrame") -> str:
    """Return rows as lines of aligned text."""
    texts = [list(shown.columns), *([_text(value) for value in row] for row in shown.iter_rows())]
    widths = [max(len(row[place]) for row in texts) for place in range(shown.width)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in texts
    )


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
