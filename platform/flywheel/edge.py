"""The edge of a process: runs a command; a fault is one sentence on standard error and an exit code."""

import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

import typer

from flywheel.errors import FlywheelError
from flywheel.settings import load_settings
from flywheel.telemetry import configure_logs


def run(build: Callable[[bool], typer.Typer], program: str) -> NoReturn:
    """Run the command that the process was called with, and end the process.

    `--debug`, anywhere among the arguments, and FLYWHEEL_DEBUG=1 show tracebacks.

    Args:
        build: Gives the application; is told whether to debug, after logs are set up.
        program: How the process is called, for its help.
    """
    debug = "--debug" in sys.argv
    try:
        settings = load_settings()
        debug = debug or settings.debug
        configure_logs(settings.log_level)
        arguments = [word for word in sys.argv[1:] if word != "--debug"]
        code = build(debug)(args=arguments, standalone_mode=False, prog_name=program)
    except FlywheelError as fault:
        _end(fault, str(fault), fault.exit_code, debug=debug)
    except typer.TyperException as fault:
        sentence = f"{fault.format_message().rstrip('.')}. `{program} --help` lists commands and options."
        _end(fault, sentence, fault.exit_code, debug=False)
    except ModuleNotFoundError as fault:
        _end(fault, f"This command needs '{fault.name}': pip install 'flywheel-mlops[all]'.", 1, debug=debug)
    except (typer.Abort, KeyboardInterrupt):
        sys.stderr.write("Stopped. `flywheel down` ends what still runs.\n")
        sys.exit(130)
    except Exception as fault:  # noqa: BLE001  people get a sentence, --debug the traceback
        reason = (str(fault).strip() or "no message").splitlines()[0].rstrip(".")
        _end(
            fault, f"Unexpected {type(fault).__name__}: {reason}. Run again with --debug to see where.", 1, debug=debug
        )
    sys.exit(code if isinstance(code, int) else 0)


def _end(fault: Exception, sentence: str, code: int, *, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exception(fault)
    sys.stderr.write(f"Error: {sentence}\n")
    sys.exit(code)
