"""Commands around gates: run them, show their evidence."""

import typer

app = typer.Typer(no_args_is_help=True)
