"""Commands around hooks: what was delivered, what waits."""

import typer

app = typer.Typer(no_args_is_help=True)
