"""`flywheel backtest`: what would retraining have gained, under several policies?"""

import json
from pathlib import Path
from typing import Annotated

import typer

from flywheel.errors import UsageError
from flywheel.settings import load_settings
from flywheel.usecase import load_usecase
from monitoring.times import parse_time

app = typer.Typer()

EXAMPLE = (
    "Example: flywheel backtest examples/flights/usecase.yaml --from 2013-04-01 --choose-until 2013-08-01 "
    '--to 2014-01-01 --policy "every 18 days" --most-trainings 15'
)


@app.command(epilog=EXAMPLE)
def backtest(
    use_case: Annotated[Path, typer.Argument(metavar="USECASE", help="Path of a usecase.yaml.")],
    begin: Annotated[str, typer.Option("--from", help="The first version is trained as of then (ISO 8601, UTC).")],
    choose_until: Annotated[str, typer.Option(help="The policy is chosen before it, and reported on behind it.")],
    end: Annotated[str, typer.Option("--to", help="Rows from then on are left out.")],
    policy: Annotated[
        list[str] | None, typer.Option(help="Replay this one (repeatable); all that are known by default.")
    ] = None,
    most_trainings: Annotated[int | None, typer.Option(min=0, help="That the recommended policy may make.")] = None,
    only_servable: Annotated[
        bool, typer.Option("--only-servable", help="Recommend none that is measured here but cannot be served yet.")
    ] = False,
    processes: Annotated[int, typer.Option(min=1, help="Fits at once, each of one thread.")] = 1,
    output: Annotated[
        Path | None, typer.Option(help="Keep history, fits, table and plot here; a run that was ended goes on.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result to this file.")] = None,
) -> None:
    """Replay labelled history under several retraining policies, and recommend one.

    Policies: never, monthly, weekly, harm (the use case's own), every N days, and more by name.
    """
    # numpy, polars and matplotlib: two seconds that `flywheel --help` does not need.
    from monitoring.backtest.plot import draw
    from monitoring.backtest.policies import chosen, standard
    from monitoring.backtest.progress import FitProgress
    from monitoring.backtest.run import Plan, run
    from monitoring.backtest.table import document, show

    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise UsageError(f"--json {json_file}: there is no folder {json_file.parent}. Make it first.")
    spec = load_usecase(use_case)
    known = standard(spec.monitor.retrain, spec.task, spec.monitor.recalibrate)
    folder = output or load_settings().root / "backtests" / spec.name
    plan = Plan(
        file=use_case,
        use_case=spec,
        policies=chosen(policy or list(known), known),
        begin=parse_time("--from", begin),
        choose_until=parse_time("--choose-until", choose_until),
        end=parse_time("--to", end),
        folder=folder,
        processes=processes,
        most=most_trainings,
        only_servable=only_servable,
    )
    with FitProgress() as told:
        outcome = run(plan, told)
    show(outcome)
    draw(outcome, folder / "backtest.png")
    text = json.dumps(document(outcome), indent=2) + "\n"
    (folder / "backtest.json").write_text(text)
    if json_file is not None:
        json_file.write_text(text)
    typer.echo(f"Plot and figures: {folder}/backtest.png, backtest.json")
