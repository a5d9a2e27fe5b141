"""Commands around signatures: verify a package."""

import typer

app = typer.Typer(no_args_is_help=True)
