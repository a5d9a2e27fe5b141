"""The root of the `flywheel` command: joins the commands of every package."""

import sys
from importlib.metadata import entry_points
from typing import Annotated

import typer

from flywheel import __version__
from flywheel.edge import run

# Lifecycle order, for `--help`. Others' extensions follow, by name.
ORDER = ["stack", "training", "registry", "deploy", "monitoring", "demo"]


def build_app() -> typer.Typer:
    """Assemble the command line from the entry points of group `flywheel.commands`."""
    app = typer.Typer(
        name="flywheel",
        help="A full machine-learning lifecycle on MLflow: train, review, deploy, watch, retrain.",
        epilog="Start with: make demo. A use case of your own: flywheel init, flywheel check, then mlflow run.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    found = {point.name: point for point in entry_points(group="flywheel.commands")}
    for name in sorted(found, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)):
        try:
            app.add_typer(found[name].load())
        except ImportError as fault:  # one broken extension must not take the other commands along
            sys.stderr.write(f"Warning: the commands of '{name}' cannot be loaded: {fault}.\n")

    app.callback()(_root)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"flywheel {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Take the options that stand before a command; `flywheel.edge` acts on --debug."""


def main() -> None:
    """Run the command line."""
    run(lambda debug: build_app(), "flywheel")
