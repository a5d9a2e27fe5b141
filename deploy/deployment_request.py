"""What a client of MLflow's deployment target asks for, and whether it may have it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.desired import PRODUCTION, Approval, newest
from deploy.loop.rollout import History
from flywheel.errors import UsageError

WAIT_SECONDS = 2400.0
CONTROLS = ("pause", "resume")


@dataclass(frozen=True)
class Change:
    """What `config` says: whether to wait for the outcome, for how many seconds, why, and what to do with a rollout."""

    wait: bool = True
    timeout: float = WAIT_SECONDS
    reason: str = ""
    control: str | None = None


def read_change(config: Mapping[str, Any] | None) -> Change:
    """Read a client's `config`; the values of MLflow's command line are text.

    Raises:
        UsageError: It says something that it cannot say.
    """
    given = dict(config or {})
    wait, timeout, reason = given.pop("wait", True), given.pop("timeout", WAIT_SECONDS), given.pop("reason", "")
    controls = [name for name in CONTROLS if _yes(name, given.pop(name, False))]
    if given:
        raise UsageError(f"config '{min(given)}' is not known. Use wait, timeout, reason, pause or resume.")
    if len(controls) > 1:
        raise UsageError("config asks to pause and to resume. Ask for one of them.")
    try:
        seconds = float(timeout)
    except (TypeError, ValueError) as fault:
        raise UsageError(f"config 'timeout' is no number of seconds: {timeout!r}.") from fault
    return Change(_yes("wait", wait), seconds, str(reason).strip(), controls[0] if controls else None)


def model_version(usecase: str, model_uri: str) -> str:
    """Return the version that a model URI names.

    Raises:
        UsageError: It names none of this use case's versions.
    """
    kind, _, path = model_uri.partition(":/")
    name, _, version = path.strip("/").partition("/")
    if kind != "models" or name != usecase or not version.isdecimal():
        raise UsageError(f"'{model_uri}' is no version of '{usecase}'. Write models:/{usecase}/VERSION.")
    return version


def check_wanted(version: str, approved: Sequence[Approval], stages: Mapping[str, str], history: History) -> None:
    """Check that a version is the one that `flywheel deploy` would serve.

    Args:
        version: The version.
        approved: The use case's approvals that stand.
        stages: MLflow's stage by version, that one included where it exists.
        history: The use case's rollouts.

    Raises:
        UsageError: It is not; says what is missing.
    """
    name = history.usecase
    if version not in stages:
        raise UsageError(
            f"There is no version {version} of '{name}' in the registry. Name one that MLflow lists of the model."
        )
    approval = next((one for one in approved if one.served.version == version), None)
    if approval is None or stages.get(version) != PRODUCTION:
        raise UsageError(
            f"Version {version} of '{name}' is not approved. Have a reviewer move it to Production, on its page or "
            f"with `flywheel approve {name} {version} --user REVIEWER`; `flywheel standing {name} {version}` says what "
            "it lacks."
        )
    if approval.served.digest in history.failed:
        raise UsageError(
            f"Version {version} of '{name}' was rolled back, and its bytes are not tried again. Train another one."
        )
    best = newest(approved, stages, history.failed)
    if best is not None and best.version != version:
        raise UsageError(
            f"Version {version} of '{name}' is approved, but so is version {best.version}, and the newest is served. "
            f"To go back to an older one: `flywheel rollback {name}`."
        )


def _yes(name: str, value: object) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    found = words.get(str(value).lower())
    if found is None:
        raise UsageError(f"config '{name}' is neither true nor false: {value!r}.")
    return found
