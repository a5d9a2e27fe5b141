"""Commands around the policy: show it, propose a change, approve or reject one."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from flywheel.errors import UsageError

# HTTP libraries load inside the commands that need them: every `flywheel --help` imports this module.

app = typer.Typer(no_args_is_help=True)
policy = typer.Typer(
    no_args_is_help=True,
    help="Show the policy in force, propose another, approve or reject a proposal.",
    epilog="Example: flywheel policy show",
)
app.add_typer(policy, name="policy")

User = Annotated[str | None, typer.Option(help="Who asks, under their own login; by default MLFLOW_TRACKING_USERNAME.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object for machines.")]
Number = Annotated[int, typer.Argument(help="Of the proposal, as `flywheel policy proposals` lists it.", min=1)]


@policy.command(epilog="Example: flywheel policy show --user ada > policy.yaml")
def show(user: User = None, as_json: Json = False) -> None:
    """Print the policy in force as YAML, which can be edited and proposed."""
    found = _own(user, "GET", "policy")
    if as_json:
        typer.echo(json.dumps(found))
        return
    from flywheel.policy import Policy
    from flywheel.schema import policy_text

    note = f"Policy {found['number']}, adopted {found['adopted_at']} by {found['adopted_by']}, {found['digest']}"
    typer.echo(policy_text(Policy.model_validate(found["document"]), note).rstrip())


@policy.command(epilog="Example: flywheel policy propose policy.yaml --reason 'Two approvals' --user ada")
def propose(
    file: Annotated[Path, typer.Argument(help="The whole policy, as `flywheel policy show` prints it.")],
    reason: Annotated[str, typer.Option(help="Why; it stays on record.")],
    user: User = None,
    as_json: Json = False,
) -> None:
    """Propose a policy: it comes into force when enough others have approved it."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as fault:
        raise UsageError(f"{file} cannot be read as text: {fault}. Name a policy in YAML.") from fault
    _print(_own(user, "POST", "policy/proposals", document=text, reason=reason), as_json)


@policy.command(epilog="Example: flywheel policy proposals --json")
def proposals(user: User = None, as_json: Json = False) -> None:
    """List all proposals, oldest first."""
    found = _own(user, "GET", "policy/proposals")["proposals"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    for proposal in found:
        typer.echo(_line(proposal))
    if not found:
        typer.echo("Nobody has proposed a policy yet.")


@policy.command(epilog="Example: flywheel policy approve 1 --user grace")
def approve(number: Number, comment: str = "", user: User = None, as_json: Json = False) -> None:
    """Approve another's proposal; the last approval that it needs puts it into force."""
    _print(_own(user, "POST", f"policy/proposals/{number}/approve", comment=comment), as_json)


@policy.command(epilog="Example: flywheel policy reject 1 --comment 'Too loose' --user grace")
def reject(
    number: Number,
    comment: Annotated[str, typer.Option(help="Why; it stays on record.")],
    user: User = None,
    as_json: Json = False,
) -> None:
    """Reject a proposal, or take back one's own."""
    _print(_own(user, "POST", f"policy/proposals/{number}/reject", comment=comment), as_json)


def _own(user: str | None, method: str, path: str, **fields: str) -> dict[str, Any]:
    from registry.client import connect

    return connect(user).own(method, path, **fields)


def _print(proposal: dict[str, Any], as_json: bool) -> None:
    typer.echo(json.dumps(proposal) if as_json else _line(proposal))


def _line(proposal: dict[str, Any]) -> str:
    approvals = ", ".join(vote["by"] for vote in proposal["approvals"]) or "nobody"
    return (
        f"Proposal {proposal['number']} by {proposal['proposer']} is {proposal['status']}, against policy "
        f"{proposal['against']}, approved by {approvals}: {' '.join(proposal['reason'].split())}"
    )
