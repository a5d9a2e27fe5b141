"""A real Envoy and a real doorman before real servers: who is let in, how often, how large, by which protocol."""

import hashlib
import http.client
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.gateway.admin import Gateway
from deploy.gateway.routes import Backend, Replica, Split, cluster_document, route_document, write_document
from flywheel.errors import FlywheelError
from flywheel.serving import load_serving
from flywheel.settings import Settings
from flywheel.stack.envoy import program_path
from flywheel.stack.gateway import write_configuration
from flywheel.stack.gateway_door import needs_doorman
from flywheel.stack.ports import Ports, free_port

ROOT = Path(__file__).parents[3]
SECRET, NUMBER = "5" * 64, "0123456789ab"
TOKEN = f"fwt_{NUMBER}_{SECRET}"

UPSTREAM = """
import asyncio, json, sys
from concurrent import futures
import grpc
from aiohttp import web
version, port, grpc_port, record = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
async def answer(request):
    body = await request.read()
    said = {"version": version, "path": request.path, "headers": {k.lower(): v for k, v in request.headers.items()}}
    with open(record, "a") as file:
        file.write(json.dumps(said) + "\\n")
    return web.json_response(said | {"bytes": len(body)})
async def ping(request):
    return web.Response(text="ok")
class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method == "/grpc.health.v1.Health/Check":
            return grpc.unary_unary_rpc_method_handler(lambda request, context: b"\\x08\\x01")
        told = dict(details.invocation_metadata)
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: json.dumps({"version": version, "arm": told.get("x-flywheel-arm")}).encode())
server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Handler()])
server.add_insecure_port(f"127.0.0.1:{grpc_port}")
server.start()
app = web.Application(client_max_size=1 << 26)
app.router.add_get("/ping", ping)
app.router.add_route("*", "/{rest:.*}", answer)
web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)
"""


@dataclass
class House:
    """A home, its Envoy, its doorman and the versions behind."""

    settings: Settings
    ports: Ports
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.settings.root

    @property
    def admin(self) -> Gateway:
        return Gateway(f"http://127.0.0.1:{self.ports.envoy_admin}")

    def version(self, number: str, use_case: str = "flights") -> Backend:
        replica = Replica(free_port(), free_port())
        record = self.root / f"seen-{number}.jsonl"
        self.run([sys.executable, "-c", UPSTREAM, number, str(replica.http), str(replica.grpc), str(record)])
        return Backend(use_case, number, (replica,))

    def run(self, command: list[str]) -> None:
        environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}"}
        self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment))

    def route(self, *splits: Split) -> None:
        serving, dynamic = load_serving(self.root), self.root / "envoy" / "dynamic"
        backends = {one for split in splits for one in (split.champion, split.challenger) if one is not None}
        clusters = cluster_document(sorted(backends, key=lambda one: one.cluster), splits, serving)
        routes = route_document(splits, serving)
        write_document(dynamic / "cds.json", clusters)
        until(lambda: {one["name"] for one in clusters["resources"]} <= self.admin.healthy() | aggregates(clusters))
        write_document(dynamic / "rds.json", routes)
        until(lambda: self.admin.accepted().routes == routes["version_info"])

    def ask(
        self,
        path: str = "/flights/invocations",
        body: bytes = b"{}",
        context: ssl.SSLContext | None = None,
        **headers: str,
    ) -> tuple[int, dict[str, Any], http.client.HTTPMessage]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if context is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.ports.gateway, timeout=10)
        else:
            connection = http.client.HTTPSConnection("localhost", self.ports.gateway, timeout=10, context=context)
        try:
            connection.request("POST", path, body, names)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}"), answer.headers
        finally:
            connection.close()

    def seen(self, number: str) -> list[dict[str, Any]]:
        path = self.root / f"seen-{number}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def aggregates(document: dict[str, Any]) -> set[str]:
    return {one["name"] for one in document["resources"] if "cluster_type" in one}


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except (FlywheelError, OSError):
            pass
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.02)


@contextmanager
def house(root: Path, serving: str) -> Iterator[House]:
    (root / "serving.yaml").write_text(serving)
    (root / "logs").mkdir()
    numbers: list[int] = []
    while len(numbers) < len(Ports.model_fields):
        numbers.append(free_port(set(numbers)))
    found = House(Settings(home=root), Ports(**dict(zip(Ports.model_fields, numbers, strict=True))))
    write_configuration(found.settings, found.ports)
    try:
        if needs_doorman(load_serving(root).gateway):
            found.run([sys.executable, "-m", "deploy.doorman", "--home", str(root)])
        found.run(
            [program_path(), "-c", str(root / "envoy" / "bootstrap.json"), "--disable-hot-restart", "-l", "error"]
        )
        until(lambda: found.admin.accepted().routes is not None)
        yield found
    finally:
        for process in found.processes:
            process.kill()
            process.wait()


def write_token(root: Path) -> None:
    """Leave the copy that a doorman has written; with no database it goes on from that."""
    expires = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    held = {"client": "svc-shop/web", "digest": hashlib.sha256(SECRET.encode()).hexdigest(), "expires_at": expires}
    document = {"seq": 1, "read_at": datetime.now(UTC).isoformat(), "tokens": {NUMBER: held}}
    (root / "run").mkdir(exist_ok=True)
    (root / "run" / "tokens.json").write_text(json.dumps(document))


def issuer(root: Path) -> Callable[..., str]:
    """Make a key, write its public half as JWKS, and return what signs tokens with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    (root / "jwks.json").write_text(json.dumps({"keys": [public | {"kid": "one", "alg": "ES256"}]}))

    def sign(client: str, **claims: Any) -> str:
        body = {"iss": "https://login", "aud": "models", "sub": client, "exp": time.time() + 60} | claims
        return jwt.encode(body, key, "ES256", {"kid": "one"})

    return sign


def jwt_section(root: Path) -> str:
    return f"jwt: {{issuer: https://login, jwks: {root}/jwks.json, audiences: [models]}}"


def test_a_json_web_token_names_its_client_and_nobody_else_can(tmp_path: Path) -> None:
    sign = issuer(tmp_path)
    with house(tmp_path, f"gateway:\n  auth: jwt\n  {jwt_section(tmp_path)}\n") as home:
        home.route(Split(home.version("1")))
        status, body, _ = home.ask(authorization=f"Bearer {sign('ada')}", x_flywheel_client="eve")
        assert (status, body["headers"]["x-flywheel-client"]) == (200, "ada")
        assert "authorization" not in body["headers"]
        for refused in ("", f"Bearer {sign('ada', exp=time.time() - 300)}", f"Bearer {sign('ada', iss='other')}"):
            status, body, _ = home.ask(authorization=refused, x_flywheel_client="ada")
            assert status == 401
            assert "JSON Web Token" in body["error"]
        assert home.ask(authorization=f"Bearer {sign('ada', aud='others')}")[0] == 403


def test_a_service_token_is_let_in_without_a_database_and_its_secret_stays_at_the_door(tmp_path: Path) -> None:
    sign = issuer(tmp_path)
    write_token(tmp_path)
    with house(tmp_path, f"gateway:\n  auth: any\n  {jwt_section(tmp_path)}\n") as home:
        home.route(Split(home.version("1")))
        until(lambda: home.ask(authorization=f"Bearer {TOKEN}")[0] == 200)
        _, body, _ = home.ask(authorization=f"Bearer {TOKEN}", x_flywheel_client="eve")
        assert body["headers"]["x-flywheel-client"] == "svc-shop/web"
        assert "authorization" not in body["headers"]
        assert home.ask(authorization=f"Bearer {sign('ada')}")[1]["headers"]["x-flywheel-client"] == "ada"
        for refused in ("", f"Bearer fwt_{NUMBER}_{'6' * 64}", "Bearer x"):
            status, body, headers = home.ask(authorization=refused, x_flywheel_client="svc-shop/web")
            assert (status, headers["www-authenticate"]) == (401, "Bearer")
            assert "predict" in body["error"]


def test_each_client_has_its_rate_and_its_day(tmp_path: Path) -> None:
    sign = issuer(tmp_path)
    limits = "limits: {requests_per_day: 3}\n  clients: {fast*: {requests_per_second: 2}}"
    with house(tmp_path, f"gateway:\n  auth: jwt\n  {jwt_section(tmp_path)}\n  {limits}\n") as home:
        home.route(Split(home.version("1")))
        until(lambda: home.ask(authorization=f"Bearer {sign('probe')}")[0] in (200, 429))
        slow = [home.ask(authorization=f"Bearer {sign('slow')}") for _ in range(4)]
        assert [status for status, _, _ in slow] == [200, 200, 200, 429]
        assert "of today" in slow[-1][1]["error"]
        assert int(slow[-1][2]["retry-after"]) > 0
        fast = [home.ask(authorization=f"Bearer {sign('fast-1')}") for _ in range(12)]
        assert 429 in [status for status, _, _ in fast]
        refused = next(one for one in fast if one[0] == 429)
        assert refused[2]["retry-after"] == "1"
        assert home.ask(authorization=f"Bearer {sign('fast-2')}")[0] == 200


def test_large_bodies_are_refused_and_metrics_are_not_reached_by_any_spelling(tmp_path: Path) -> None:
    with house(tmp_path, "defaults: {body_bytes: 1000}\n") as home:
        home.route(Split(home.version("1")))
        assert home.ask(body=b"x" * 1000)[1]["bytes"] == 1000
        status, body, _ = home.ask(body=b"x" * 1001)
        assert status == 413
        assert "1000 bytes" in body["error"]
        assert home.ask(body=iter([b"x" * 600] * 2))[0] == 413  # type: ignore[arg-type]
        for path in (
            "/flights/metrics",
            "/metrics",
            "/flights/./metrics",
            "/flights//metrics",
            "/flights/%6detrics",
            "/flights/docs/../metrics",
            "/flights/docs%2f..%2fmetrics",
            "/flights/docs/%2e%2e/metrics",
        ):
            assert home.ask(path)[0] in (400, 404), path
        for path, inside in (
            ("/flights/v2/models/flights/infer", "/v2/models/flights/infer"),
            ("/v2/models/flights/ready", "/v2/models/flights/ready"),
            ("/flights/feedback", "/feedback"),
            ("/flights/openapi.json", "/openapi.json"),
        ):
            assert home.ask(path)[1]["path"] == inside


def test_a_caller_stays_and_nobody_moves_back_while_the_share_grows(tmp_path: Path) -> None:
    with house(tmp_path, "{}") as home:
        champion, canary = home.version("1"), home.version("2")
        before: set[int] = set()
        for percent in (10, 40, 70):
            home.route(Split(champion, canary, percent, "r"))
            moved = {n for n in range(100) if home.ask(x_flywheel_unit=f"user-{n}")[1]["version"] == "2"}
            assert moved == {n for n in range(100) if home.ask(x_flywheel_unit=f"user-{n}")[1]["version"] == "2"}
            assert before < moved
            before = moved


def test_mirrored_requests_say_shadow_and_count_for_no_arm(tmp_path: Path) -> None:
    with house(tmp_path, "defaults: {mirror_percent: 100}\n") as home:
        champion, canary = home.version("1"), home.version("2")
        home.route(Split(champion, canary, 0, "r"))
        assert {home.ask()[1]["version"] for _ in range(20)} == {"1"}
        until(lambda: len(home.seen("2")) == 20)
        assert {one["headers"]["x-flywheel-arm"] for one in home.seen("2")} == {"shadow"}
        assert {one["headers"]["x-flywheel-arm"] for one in home.seen("1")} == {"champion"}
        counts = home.admin.counts()
        assert (counts[canary.cluster].attempts, counts[champion.cluster].requests) == (0, 20)


def test_grpc_goes_to_the_use_case_that_its_metadata_names(tmp_path: Path) -> None:
    with house(tmp_path, "{}") as home:
        home.route(Split(home.version("1")), Split(home.version("7", "rain")))
        with grpc.insecure_channel(f"127.0.0.1:{home.ports.gateway}") as channel:
            call: Any = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            for use_case, version in (("flights", "1"), ("rain", "7")):
                told = [("flywheel-use-case", use_case), ("x-flywheel-arm", "forged")]
                assert json.loads(call(b"", metadata=told, timeout=10)) == {"version": version, "arm": None}
            for metadata in ([("flywheel-use-case", "nobody")], []):
                with pytest.raises(grpc.RpcError) as fault:
                    call(b"", metadata=metadata, timeout=10)
                assert fault.value.code() is grpc.StatusCode.UNIMPLEMENTED
                assert "flights, rain" in str(fault.value.details())


def certificate(folder: Path, name: str, authority: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
    """Write <name>.pem and <name>.key by rename, as a renewal does."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    by, signer = (authority[0].subject, authority[1]) if authority else (subject, key)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for suffix, content in ((".key", private), (".pem", made.public_bytes(serialization.Encoding.PEM))):
        (folder / f"{name}.new").write_bytes(content)
        (folder / f"{name}.new").replace(folder / f"{name}{suffix}")
    return made, key


def test_tls_asks_for_a_client_certificate_and_takes_a_renewed_one_without_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    folder.mkdir()
    authority = certificate(folder, "authority")
    first, _ = certificate(folder, "server", authority)
    certificate(folder, "client", authority)
    tls = f"{{certificate: {folder}/server.pem, key: {folder}/server.key, client_ca: {folder}/authority.pem}}"
    with house(tmp_path, f"gateway: {{tls: {tls}}}\n") as home:
        home.route(Split(home.version("1")))
        stranger = ssl.create_default_context(cafile=str(folder / "authority.pem"))
        known = ssl.create_default_context(cafile=str(folder / "authority.pem"))
        known.load_cert_chain(folder / "client.pem", folder / "client.key")
        assert home.ask(context=known)[0] == 200
        with pytest.raises((ssl.SSLError, ConnectionError)):
            home.ask(context=stranger)
        assert serial(home, known) == first.serial_number
        second, _ = certificate(folder, "server", authority)
        until(lambda: serial(home, known) == second.serial_number)
        assert home.ask(context=known)[0] == 200


def serial(home: House, context: ssl.SSLContext) -> int:
    connection = http.client.HTTPSConnection("localhost", home.ports.gateway, timeout=10, context=context)
    connection.connect()
    try:
        shown = connection.sock.getpeercert(binary_form=True)
        assert isinstance(shown, bytes)
        return x509.load_der_x509_certificate(shown).serial_number
    finally:
        connection.close()
