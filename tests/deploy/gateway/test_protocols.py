"""Protocols, limits and sizes at a real gateway: HTTP/2 with and without TLS, gRPC of a foreign client, 413 and 429."""

import http.client
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from deploy.gateway.traffic import Backend, Replica, Split
from tests.deploy.conftest import ENVIRONMENT, ROOT, RunningAgent, free_port
from tests.deploy.gateway.house import TOKEN, House, certificate, house, until, write_token
from tests.deploy.gateway.plain_http2 import post

Start = Callable[..., RunningAgent]
V2 = "/flights/v2/models/flights/infer"


def tls(root: Path) -> str:
    certificate(root, "server")
    return f"tls: {{certificate: {root}/server.pem, key: {root}/server.key}}"


def trusting(root: Path, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(root / "server.pem"))
    context.set_alpn_protocols(list(protocols))
    return context


def foreign(home: House, authorization: str) -> dict[str, Any]:
    """Ask with tritonclient, over gRPC and TLS."""
    words = [f"localhost:{home.ports.gateway}", str(home.root / "server.pem"), authorization]
    command = [sys.executable, "-m", "tests.deploy.gateway.foreign_grpc", *words]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_foreign_grpc_client_is_let_in_over_tls_by_its_token_and_told_in_grpcs_form_when_not(
    tmp_path: Path, start_agent: Start, tiny_scorer: str
) -> None:
    write_token(tmp_path)
    grpc_port = free_port()
    agent = start_agent(tiny_scorer, options=("--grpc-port", str(grpc_port)))
    backend = Backend("tiny", "1", (Replica(int(agent.url.rpartition(":")[2]), grpc_port),))
    limits = "limits: {requests_per_day: 3}"
    with house(tmp_path, f"gateway:\n  auth: token\n  {tls(tmp_path)}\n  {limits}\n") as home:
        home.route(Split(backend))
        for _ in range(3):
            assert foreign(home, f"Bearer {TOKEN}") == {"probability": [0.25, 0.75]}
        spent = foreign(home, f"Bearer {TOKEN}")
        assert spent["status"] == "StatusCode.RESOURCE_EXHAUSTED"  # of 429 gRPC would make UNAVAILABLE
        assert "has made its 3 requests of today" in spent["message"]
        stranger = foreign(home, "Bearer fwt_x")
        assert stranger["status"] == "StatusCode.UNAUTHENTICATED"
        assert stranger["message"].startswith("Not let in: show a valid token")
        assert {record["status"] for record in agent.records()} == {"scored"}


@pytest.fixture(params=["h2", "h2c"])
def http2(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[House, socket.socket]]:
    """A gateway and a connection to it that speaks HTTP/2, agreed by ALPN or taken for granted."""
    secure = request.param == "h2"
    with house(tmp_path, f"gateway: {{{tls(tmp_path)}}}\n" if secure else "{}") as home:
        home.route(Split(home.version("1")))
        connection = socket.create_connection(("localhost", home.ports.gateway), 10)
        if secure:
            connection = trusting(tmp_path, "h2", "http/1.1").wrap_socket(connection, server_hostname="localhost")
            assert isinstance(connection, ssl.SSLSocket)
            assert connection.selected_alpn_protocol() == "h2"
        with connection:
            yield home, connection


def test_rest_is_answered_over_http2(http2: tuple[House, socket.socket]) -> None:
    home, connection = http2
    answer = post(connection, "/flights/invocations", b"{}", {"content-type": "application/json"})
    assert answer.fine
    assert json.loads(answer.body)["path"] == "/invocations"
    assert len(home.seen("1")) == 1


def test_who_speaks_only_http1_is_answered_over_tls(tmp_path: Path) -> None:
    with house(tmp_path, f"gateway: {{{tls(tmp_path)}}}\n") as home:
        home.route(Split(home.version("1")))
        assert home.ask(context=trusting(tmp_path, "http/1.1"))[0] == 200


def ask_from(home: House, source: str, **headers: str) -> tuple[int, dict[str, Any], http.client.HTTPMessage]:
    """Ask from one of this machine's addresses."""
    connection = http.client.HTTPConnection("127.0.0.1", home.ports.gateway, timeout=10, source_address=(source, 0))
    try:
        connection.request("POST", "/flights/invocations", b"{}", headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), answer.headers
    finally:
        connection.close()


def test_without_auth_each_address_has_its_day_whatever_it_says_of_itself(tmp_path: Path) -> None:
    with house(tmp_path, "gateway: {limits: {requests_per_day: 3}}\n") as home:
        home.route(Split(home.version("1")))
        until(lambda: ask_from(home, "127.0.0.9")[0] == 200)
        forged = [{"x-forwarded-for": f"10.0.0.{number}"} for number in range(4)]
        answers = [ask_from(home, "127.0.0.2", **one) for one in forged]
        assert [status for status, _, _ in answers] == [200, 200, 200, 429]
        assert answers[-1][1]["error"]["rule"] == "limit"
        assert int(answers[-1][2]["retry-after"]) > 0
        assert ask_from(home, "127.0.0.3")[0] == 200


def test_without_auth_each_address_has_its_rate(tmp_path: Path) -> None:
    with house(tmp_path, "gateway: {limits: {requests_per_second: 2, burst: 4}}\n") as home:
        home.route(Split(home.version("1")))
        answers = [ask_from(home, "127.0.0.2") for _ in range(20)]
        refused = [one for one in answers if one[0] == 429]
        assert [status for status, _, _ in answers[:4]] == [200] * 4
        assert refused
        assert refused[0][2]["retry-after"] == "1"
        assert "Retry-After" in refused[0][1]["error"]["message"]
        assert ask_from(home, "127.0.0.3")[0] == 200
        with grpc.insecure_channel(f"127.0.0.1:{home.ports.gateway}") as channel:
            call: Any = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            codes = {_code(call) for _ in range(20)}
        assert codes == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}


def _code(call: Any) -> grpc.StatusCode:
    try:
        call(b"", timeout=10)
    except grpc.RpcError as fault:
        code: grpc.StatusCode = fault.code()
        return code
    return grpc.StatusCode.OK


@pytest.mark.parametrize("path", [V2, "/v2/models/flights/infer", "/flights/invocations", "/invocations"])
def test_a_body_that_is_too_large_is_refused_in_the_form_of_its_protocol(tmp_path: Path, path: str) -> None:
    def sentence(body: dict[str, Any]) -> str:
        found: str = body["error"] if "/v2/" in path else body["error"]["message"]
        return found

    told = "The body is larger than 1000 bytes, which 'flights' takes at most. Send less."
    with house(tmp_path, "defaults: {body_bytes: 1000}\n") as home:
        home.route(Split(home.version("1")))
        status, body, _ = home.ask(path, body=b"x" * 1001)
        assert (status, sentence(body)) == (413, told)
        pieces: Any = iter([b"x" * 600] * 2)
        status, body, _ = home.ask(path, body=pieces)
        assert (status, sentence(body)) == (413, "The body is larger than this use case takes. Send less.")
        # At its head, before any of it is sent or held; so is what leads nowhere.
        assert announced(home, path, 1 << 40) == 413
        assert announced(home, "/nobody/invocations", 1 << 40) == 404
        assert home.seen("1") == []


def announced(home: House, path: str, length: int) -> int:
    """Send a head alone, which announces a body; return the status that comes before any of it is sent."""
    connection = http.client.HTTPConnection("127.0.0.1", home.ports.gateway, timeout=10)
    try:
        connection.putrequest("POST", path)
        connection.putheader("content-length", str(length))
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()
