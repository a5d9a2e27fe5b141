"""As much of HTTP/2 as it takes to send one POST and read one answer: no library that hides anything."""

import socket
import struct
from dataclasses import dataclass

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS, ACK = 1, 4, 1
STATUS_200 = b"\x88"  # ":status: 200" of HPACK's static table, which a server's first header block begins with


@dataclass(frozen=True)
class Answer:
    """What came back: whether its status was 200, and its body."""

    fine: bool
    body: bytes


def post(connection: socket.socket, path: str, body: bytes, headers: dict[str, str]) -> Answer:
    """Send one POST on a connection that was just made, and read the answer to its end."""
    named = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost"} | headers
    block = b"".join(_literal(name) + _literal(value, first=False) for name, value in named.items())
    connection.sendall(PREFACE + _frame(SETTINGS, 0, 0, b"") + _frame(HEADERS, END_HEADERS, 1, block))
    connection.sendall(_frame(DATA, END_STREAM, 1, body))
    fine, content = False, b""
    while True:
        kind, flags, payload = _read_frame(connection)
        if kind == SETTINGS and not flags & ACK:
            connection.sendall(_frame(SETTINGS, ACK, 0, b""))
        elif kind == HEADERS:
            fine = STATUS_200 in payload[:4]
        elif kind == DATA:
            content += payload
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            return Answer(fine, content)


def _literal(text: str, *, first: bool = True) -> bytes:
    """Write a name (without index, not to be kept) or a value."""
    content = text.encode()
    assert len(content) < 127, "lengths of one byte are all that is needed here"
    return (b"\x10" if first else b"") + bytes([len(content)]) + content


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _read_frame(connection: socket.socket) -> tuple[int, int, bytes]:
    head = _read(connection, 9)
    return head[3], head[4], _read(connection, int.from_bytes(head[:3], "big"))


def _read(connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        if not (chunk := connection.recv(count - len(found))):
            raise ConnectionError("the gateway hung up")
        found += chunk
    return found
