"""Keys of the advisory locks in MLflow's database, each of one owner: two of the same key would wait for each other."""

from enum import IntEnum, unique


@unique
class AdvisoryLock(IntEnum):
    """Who holds it, and while what."""

    EVENTS = 714001  # the audit trail: its schema is installed
    CONTROLLER = 714002  # a controller leads
    REGISTRY = 714003  # a server starts
    DELIVERIES = 714004  # the outbox is delivered
    ROLES = 714005  # an account's roles are set
    SCHEDULE = 714006  # monitoring's schedule runs
