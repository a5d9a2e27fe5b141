"""The registry's commands, in the order in which people need them; each room brings its own."""

import typer

from registry.access.cli import app as access
from registry.alerts.cli import app as alerts
from registry.gates.cli import app as gates
from registry.history.cli import app as history
from registry.hooks.cli import app as hooks
from registry.policy.cli import app as policy
from registry.review.cli import app as review
from registry.rollouts.cli import app as rollouts
from registry.signing.cli import app as signing

app = typer.Typer(no_args_is_help=True)
for room in (gates, review, history, rollouts, alerts, policy, hooks, access, signing):
    app.add_typer(room)
