"""How many files, and so how many connections, a process of the stack may have open."""

import resource

# By default a shell gives a process 1,024; more than this nothing here needs.
MOST = 65_536


def limits() -> tuple[int, int]:
    """Return the soft limit of this process, and what it may be raised to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST if hard == resource.RLIM_INFINITY else min(MOST, hard)
    return (most if soft == resource.RLIM_INFINITY else soft), most


def raise_limit() -> None:
    """Raise the soft limit as far as it goes; a higher one stays."""
    soft, most = limits()
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
