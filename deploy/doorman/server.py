"""HTTP/1.1 on a unix socket, as much of it as Envoy speaks to an authorisation service: heads without bodies."""

import asyncio
from collections.abc import Callable, Mapping
from typing import cast

from deploy.doorman.door import Verdict

REASONS = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    429: b"Too Many Requests",
    503: b"Unavailable",
}
MOST_HEAD = 64 << 10
END = b"\r\n\r\n"
Judge = Callable[[Mapping[bytes, bytes]], Verdict]


class Connection(asyncio.Protocol):
    """One connection of Envoy's; requests are answered in their order."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._unread = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only

    def data_received(self, data: bytes) -> None:
        """Answer every request whose head has come."""
        if self._transport is None:
            return
        self._unread += data
        while END in self._unread:
            head, _, self._unread = self._unread.partition(END)
            headers = read_head(head)
            if headers is None or headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
                self._transport.write(written(Verdict(400)))
                self._transport.close()
                return
            self._transport.write(written(self._judge(headers)))
        if len(self._unread) > MOST_HEAD:
            self._transport.close()


def read_head(head: bytes) -> dict[bytes, bytes] | None:
    """Return a request's headers, names in small letters; None when it is no head."""
    found = {}
    for line in head.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if not colon:
            return None
        found[name.lower()] = value.strip()
    return found


def written(verdict: Verdict) -> bytes:
    """Write an answer."""
    body = verdict.sentence.encode()
    lines = [b"HTTP/1.1 %d %s" % (verdict.status, REASONS.get(verdict.status, b"Refused"))]
    lines += [f"{name}: {value}".encode("latin-1", "replace") for name, value in verdict.headers]
    return b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", body])
