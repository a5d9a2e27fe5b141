"""A program of its own: fences itself in with Linux's Landlock, then becomes the program that it is told to start.

    python -I -S fence.py --read DIR … --write DIR … -- PROGRAM ARGUMENT …

Inside, a model's code reads the machine's programs and what it is given, writes its own folder, connects to no TCP
port, and neither signals a process outside nor looks into one (/proc/PID/environ, fd, mem), though it runs as the same
user. Needs no rights. Where the kernel has no Landlock (before Linux 5.13, or another system) it starts the program
unfenced and says so on standard error. Imports nothing of ours.
"""

import argparse
import ctypes
import os
import sys

CREATE, ADD, RESTRICT, VERSION, BENEATH = 444, 445, 446, 1, 1
DROP_CAPABILITY, NO_NEW_PRIVS = 24, 38  # linux/prctl.h
CAPABILITIES = 64  # more than there are
# linux/landlock.h: rights on files by the version of the interface that brought them.
READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read file, read folder
FILE = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15  # those that a rule about a single file may give
FIRST, LATER = 13, {2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
CONNECT_TCP, SCOPES = 1 << 1, 1 << 0 | 1 << 1  # abstract sockets, signals


class Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr."""

    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class Beneath(ctypes.Structure):
    """struct landlock_path_beneath_attr."""

    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def main(arguments: list[str]) -> None:
    """Fence in and become the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--read", action="append", default=[])
    parser.add_argument("--write", action="append", default=[])
    parser.add_argument("program", nargs="+")
    asked = parser.parse_args(arguments)
    library = ctypes.CDLL(None, use_errno=True)
    version = library.syscall(CREATE, None, ctypes.c_size_t(0), VERSION)
    if version < 1:
        sys.stderr.write("no Landlock here: the model's code is not fenced in\n")
    else:
        fence(library, version, asked.read, asked.write)
    os.execv(asked.program[0], asked.program)  # noqa: S606  # the program is ours to choose


def fence(library: ctypes.CDLL, version: int, read: list[str], write: list[str]) -> None:
    """Restrict this process and all that it starts.

    Raises:
        OSError: The kernel refuses.
    """
    files = (1 << FIRST) - 1
    for since, right in LATER.items():
        files |= right if version >= since else 0
    rules = Ruleset(files, CONNECT_TCP if version >= 4 else 0, SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _checked(library.syscall(CREATE, ctypes.byref(rules), ctypes.c_size_t(size), 0))
    for paths, rights in ((read, READ), (write, files)):
        for path in paths:
            _open(library, ruleset, path, rights)
    for capability in range(CAPABILITIES):  # root's, some of which see past the fence; others have none to drop
        library.prctl(DROP_CAPABILITY, capability, 0, 0, 0)
    _checked(library.prctl(NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(library.syscall(RESTRICT, ruleset, 0))
    os.close(ruleset)


def _open(library: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not on this machine
    rule = Beneath(rights if os.path.isdir(path) else rights & FILE, place)  # noqa: PTH112  # no imports to wait for
    _checked(library.syscall(ADD, ruleset, BENEATH, ctypes.byref(rule), 0))
    os.close(place)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "Landlock: " + os.strerror(ctypes.get_errno()))
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
