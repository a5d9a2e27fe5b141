"""Commands around the policy: show it, propose a change, approve one."""

import typer

app = typer.Typer(no_args_is_help=True)
