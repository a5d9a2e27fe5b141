"""A version that is newer than what is wanted and waits for people: said at a command's end, so that nobody wonders."""

from deploy.loop.interfaces import Registered


def waits_for_approval(registry: Registered, usecase: str, wanted: str | None) -> str | None:
    """Say that a newer version waits; None where none does.

    Args:
        registry: Asked once.
        usecase: Its name.
        wanted: The version that is live or comes; None without one.

    Raises:
        TransientError: The registry does not answer.
    """
    found = registry.undecided(usecase)
    if found is None or int(found) <= int(wanted or 0):
        return None
    return f"version {found} waits for its approval; `flywheel standing {usecase} {found}` says what it lacks."
