"""Commands around service tokens: issue, list, revoke."""

import typer

app = typer.Typer(no_args_is_help=True)
