"""How many files, and so how many connections, a process of the stack may have open."""

import resource

# By default a shell gives a process 1,024; more than this nothing here needs.
MOST = 65_536


def most_files(wanted: int = MOST) -> int:
    """Return how many of so many the hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def raise_limit(wanted: int = MOST) -> None:
    """Raise the soft limit to so many, or as far as the hard one goes; a higher one stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < most_files(wanted):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most_files(wanted), hard))
