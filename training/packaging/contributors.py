"""Who wrote the commits behind a version since the champion's, for four eyes: their addresses, co-authors included."""

import re
from dataclasses import dataclass
from pathlib import Path

from training.packaging.lineage import GitState, ask_git

CO_AUTHOR = re.compile(r"^co-authored-by:\s*(?:[^<\n]*<([^<>\n]+)>|(\S+))", re.IGNORECASE | re.MULTILINE)
COMMIT = re.compile(r"[0-9a-f]{7,64}")  # what is asked of git must be no option
MOST = 1000  # addresses; more is a history that nobody reviews by name


@dataclass(frozen=True)
class Contributed:
    """Whose work went into a version.

    Args:
        addresses: Of authors and co-authors, sorted, in lower case; and, with uncommitted changes, of who works here.
        since: The commit after which they were counted; None: all commits.
        unknown: Why not all of them are known, as the end of a sentence; '' when they are.
    """

    addresses: tuple[str, ...] = ()
    since: str | None = None
    unknown: str = ""


def contributed(folder: Path, state: GitState, since: str | None) -> Contributed:
    """Ask git who wrote what lies between two commits.

    Args:
        folder: In the repository.
        state: Of it, now.
        since: The champion's commit; None counts the whole history.
    """
    untold = _untold(folder, state, since)
    if untold:
        return Contributed(unknown=untold)
    commits = str(state.commit) if since is None else f"{since}..{state.commit}"
    log = ask_git(folder, "log", "--no-show-signature", "--format=%x1e%ae%x1f%B", commits)
    if log is None:
        return Contributed(since=since, unknown="git could not list its commits in time")
    addresses = _addresses(log)
    if state.dirty:
        addresses.add((ask_git(folder, "config", "user.email") or "").strip().lower())
    addresses.discard("")
    if len(addresses) > MOST:
        return Contributed(since=since, unknown=f"more than {MOST} people wrote its commits")
    return Contributed(tuple(sorted(addresses)), since)


def _untold(folder: Path, state: GitState, since: str | None) -> str:
    if state.commit is None:
        return "its code lies in no git repository"
    if since is None:
        shallow = (ask_git(folder, "rev-parse", "--is-shallow-repository") or "").strip() == "true"
        return "its clone is shallow, and holds not all commits" if shallow else ""
    if not COMMIT.fullmatch(since):
        return "the champion's package names no commit"
    if ask_git(folder, "merge-base", "--is-ancestor", since, state.commit) is None:
        return f"the champion's commit {since[:12]} is not in this clone's history"
    return ""


def _addresses(log: str) -> set[str]:
    found = set()
    for commit in log.split("\x1e"):
        author, _, message = commit.partition("\x1f")
        found.add(author.strip().lower())
        found |= {(match[1] or match[2]).strip().lower() for match in CO_AUTHOR.finditer(message)}
    return found
