"""The operator's file of receivers, HOME/hooks.yaml."""

import yaml
from pydantic import ValidationError, model_validator

from flywheel.errors import SpecError
from flywheel.faults import sentence_of
from flywheel.yaml_text import parse_yaml, yaml_reason
from registry.hooks.alertmanager import Alertmanager
from registry.hooks.email import Email
from registry.hooks.receiver import Receiver, Strict
from registry.hooks.webhooks import Webhook


class Hooks(Strict):
    """Who is told of events: webhooks, mailboxes, Alertmanagers."""

    webhooks: tuple[Webhook, ...] = ()
    email: tuple[Email, ...] = ()
    alertmanagers: tuple[Alertmanager, ...] = ()

    @property
    def receivers(self) -> "tuple[Webhook | Email | Alertmanager, ...]":
        """All of them, in the file's order."""
        return (*self.webhooks, *self.email, *self.alertmanagers)

    @model_validator(mode="after")
    def _are_distinct(self) -> "Hooks":
        everybody: tuple[Receiver, ...] = self.receivers
        names = [hook.name for hook in everybody]
        if double := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two receivers are called '{double}'")
        return self


def parse_hooks(text: str, where: str) -> Hooks:
    """Read the file's text; `where` names it in messages.

    Raises:
        SpecError: It is no YAML, or says something that it cannot say.
    """
    try:
        return Hooks.model_validate(parse_yaml(text) or {})
    except yaml.YAMLError as fault:
        raise SpecError(f"Hooks {where}: no YAML: {yaml_reason(fault)}. Correct it.") from fault
    except ValidationError as fault:
        raise SpecError(f"Hooks {where}: {sentence_of(fault)}") from fault
