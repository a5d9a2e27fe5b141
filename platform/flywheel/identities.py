"""Who acts: people by role, and one service user each for training, controller, monitoring and agents."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flywheel.errors import SpecError

Role = Literal["data_scientist", "reviewer"]

ADMIN = "admin"
TRAINING = "svc-training"
CONTROLLER = "svc-controller"
MONITORING = "svc-monitoring"
AGENTS = "svc-agents"
SERVICES = (TRAINING, CONTROLLER, MONITORING, AGENTS)


class ProductionPolicy(BaseModel):
    """What a transition to Production needs at least."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    four_eyes: bool = Field(True, description="The author of a version may not move it to Production.")


class Policy(BaseModel):
    """The server's floor policy (`HOME/policy.yaml`): who may do what. A use case may tighten it, never loosen it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: dict[str, Role] = Field(default={"ada": "data_scientist", "grace": "reviewer"})
    production: ProductionPolicy = ProductionPolicy()

    def reviewers(self) -> set[str]:
        """Return the users who may move a version to Production."""
        return {name for name, role in self.people.items() if role == "reviewer"}


def load_policy(path: Path) -> Policy:
    """Read a policy file.

    Raises:
        SpecError: The file is missing, no YAML, or says something that a policy cannot say.
    """
    try:
        return Policy.model_validate(yaml.safe_load(path.read_text()) or {})
    except OSError as fault:
        raise SpecError(f"Policy {path} cannot be read: {fault.strerror}. `flywheel up` writes one.") from fault
    except yaml.YAMLError as fault:
        raise SpecError(f"Policy {path} is no YAML: {fault}. Correct it.") from fault
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SpecError(f"Policy {path}: '{where}' is wrong: {first['msg']}. Correct it.") from fault
