"""Commands around gates: run them on a registered version or on a folder, show their evidence."""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from flywheel.errors import StackError, UsageError

if TYPE_CHECKING:
    from registry.gates.evidence import Measurement

# HTTP and data libraries load inside the commands that need them: every `flywheel --help` imports this module.

app = typer.Typer(no_args_is_help=True)
gates = typer.Typer(
    no_args_is_help=True,
    help="Run the gates of a version, or show what they said.",
    epilog="Example: flywheel gates run flights-delay 3",
)
app.add_typer(gates, name="gates")

Name = Annotated[str, typer.Argument(help="Of the registered model.")]
Version = Annotated[str, typer.Argument(help="Its number.")]
User = Annotated[str | None, typer.Option(help="Who asks, under their own login; by default MLFLOW_TRACKING_USERNAME.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object for machines.")]
Only = Annotated[list[str] | None, typer.Option("--gate", help="This gate alone; may be given again.")]
POLL_SECONDS = 0.5
QUIET_SECONDS = 30.0  # then a person is told where to look


@gates.command(epilog="Example: flywheel gates run flights-delay 3 --gate skew --user ada")
def run(
    name: Name,
    version: Version,
    gate: Only = None,
    user: User = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the registry's gates.", min=1)] = 900.0,
    as_json: Json = False,
) -> None:
    """Ask the registry to measure a version now, wait, and print what each gate says; exit 1 unless all pass."""
    from registry.client import connect

    rest, path = connect(user), f"gates/{quote(name, safe='')}/{quote(version, safe='')}"
    state = rest.own("POST", path, gates=",".join(gate or []))
    asked, deadline, heard = state["asked"], time.monotonic() + timeout, time.monotonic()
    told = 0
    while asked and (state["waiting"] and state["asked"] == asked):
        done = [one for one in state["evidence"] if one["asked"] >= asked]
        if len(done) > told:
            told, heard = len(done), time.monotonic()
        _progress(f"{told} of {told + len(state['left'])} gates measured", quiet=time.monotonic() - heard)
        if time.monotonic() > deadline:
            raise StackError(
                f"The gates of {name} {version} did not end within {timeout:.0f} s. They go on: look with"
                f" `flywheel gates show {name} {version}`, and at `flywheel status`."
            )
        time.sleep(POLL_SECONDS)
        state = rest.own("GET", path)
    _progress("")
    chosen = [one for one in state["evidence"] if one["gate"] in gate] if gate else state["evidence"]
    _print(chosen, as_json, {**state, "evidence": chosen})


@gates.command(epilog="Example: flywheel gates show flights-delay 3 --json")
def show(name: Name, version: Version, user: User = None, as_json: Json = False) -> None:
    """Print the newest evidence of each gate, and which gates are still to be measured."""
    from registry.client import connect

    state = connect(user).own("GET", f"gates/{quote(name, safe='')}/{quote(version, safe='')}")
    if as_json:
        typer.echo(json.dumps(state))
        return
    _table(state["evidence"])
    if state["waiting"]:
        typer.echo(f"Still to be measured: {', '.join(state['left']) or 'what the use case requires'}.")
    elif not state["evidence"]:
        typer.echo("No gate has been measured, and the policy requires none.")


@gates.command(epilog="Example: flywheel gates measure ./model --champion ./before --gate champion")
def measure(
    folder: Annotated[Path, typer.Argument(help="An MLflow model folder, as a download of models:/NAME/VERSION.")],
    gate: Only = None,
    champion: Annotated[Path | None, typer.Option(help="The folder to compare with.")] = None,
    policy: Annotated[Path | None, typer.Option(help="A policy.yaml whose gates and limits hold.")] = None,
    as_json: Json = False,
) -> None:
    """Measure a folder here, without a server; exit 1 unless all gates pass."""
    import tempfile

    from registry.gates.job import demanded
    from registry.gates.measuring import measure as measure_folder
    from registry.gates.run import Task

    for path in (folder, champion):
        if path is not None and not (path / "MLmodel").is_file():
            raise UsageError(f"{path} is no MLflow model: it has no file MLmodel. Name a model's folder.")
    demand = demanded(_policy(policy), folder)
    found: dict[str, Measurement] = {}
    wanted = tuple(gate or demand.required)
    _check_names(wanted)
    with tempfile.TemporaryDirectory(prefix="flywheel-gates-") as work:
        measure_folder(
            Task(
                folder=folder.resolve(),
                work=Path(work),
                gates=wanted,
                limits=demand.limits,
                champion=champion.resolve() if champion else None,
            ),
            found.__setitem__,
            starts=lambda name: _progress(f"{len(found)} of {len(wanted)} gates measured; {name}"),
        )
    _progress("")
    entries = [{"gate": name, **asdict(one), "outcome": str(one.outcome)} for name, one in found.items()]
    _print(entries, as_json, {"folder": str(folder), "evidence": entries})


def _policy(path: Path | None) -> Any:
    from flywheel.policy import Policy, load_policy

    return load_policy(path) if path else Policy()


def _check_names(names: tuple[str, ...]) -> None:
    from registry.gates.catalogue import find_gates

    known = find_gates()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"There is no gate '{unknown[0]}'. Gates: {', '.join(sorted(known))}.")


def _print(found: list[dict[str, Any]], as_json: bool, document: dict[str, Any]) -> None:
    if as_json:
        typer.echo(json.dumps(document))
    else:
        _table(found)
    if any(one["outcome"] != "pass" for one in found):
        raise typer.Exit(1)


def _table(found: list[dict[str, Any]]) -> None:
    from registry.gates.table import lines, summary

    for line in lines(found):
        typer.echo(line)
    if found:
        typer.echo(summary(found))


def _progress(text: str, *, quiet: float = 0.0) -> None:
    """Write over the last line on a terminal; elsewhere stay silent."""
    if not sys.stderr.isatty():
        return
    hint = " (nothing for a while: look at `flywheel status`)" if quiet > QUIET_SECONDS else ""
    sys.stderr.write(f"\r\033[K{text}{hint}")
    sys.stderr.flush()
