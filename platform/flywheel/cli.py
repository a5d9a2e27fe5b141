"""The root of the `flywheel` command: joins the commands of every package and maps faults to exit codes."""

import sys
import traceback
from importlib.metadata import entry_points
from typing import Annotated

import typer

from flywheel import __version__
from flywheel.errors import FlywheelError
from flywheel.settings import load_settings
from flywheel.telemetry import configure_logs

# Lifecycle order, for `--help`. Others' extensions follow, by name.
ORDER = ["stack", "training", "registry", "deploy", "monitoring", "demo"]


def build_app() -> typer.Typer:
    """Assemble the command line from the entry points of group `flywheel.commands`."""
    app = typer.Typer(
        name="flywheel",
        help="A full machine-learning lifecycle on MLflow: train, review, deploy, watch, retrain.",
        epilog="Start with: make demo. A use case of your own: flywheel check usecase.yaml, then mlflow run.",
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
    """Take the options that stand before a command; `main` acts on --debug."""


def main() -> None:
    """Run the command line; a fault is one sentence on standard error."""
    debug = "--debug" in sys.argv
    try:
        settings = load_settings()
        debug = debug or settings.debug
        configure_logs(settings.log_level)
        arguments = [word for word in sys.argv[1:] if word != "--debug"]
        code = build_app()(args=arguments, standalone_mode=False)
    except FlywheelError as fault:
        _explain(fault, str(fault), debug=debug)
        sys.exit(fault.exit_code)
    except typer.TyperException as fault:
        sys.stderr.write(f"Error: {fault.format_message()} `flywheel --help` lists commands and options.\n")
        sys.exit(fault.exit_code)
    except ModuleNotFoundError as fault:
        _explain(fault, f"This command needs '{fault.name}': pip install 'flywheel-mlops[all]'.", debug=debug)
        sys.exit(1)
    except (typer.Abort, KeyboardInterrupt):
        sys.stderr.write("Stopped. `flywheel down` ends what still runs.\n")
        sys.exit(130)
    except Exception as fault:  # noqa: BLE001  the process's edge: people get a sentence, --debug the traceback
        _explain(
            fault, f"Unexpected {type(fault).__name__}: {fault}. Run again with --debug to see where.", debug=debug
        )
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _explain(fault: Exception, sentence: str, *, debug: bool) -> None:
    if debug:
        traceback.print_exception(fault)
    sys.stderr.write(f"Error: {sentence}\n")
