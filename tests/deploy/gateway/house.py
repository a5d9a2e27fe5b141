"""A home with a real Envoy, its doorman and real servers behind, for tests of what the gateway does."""

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

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.gateway.admin import Gateway
from deploy.gateway.clusters import cluster_document
from deploy.gateway.documents import write_document
from deploy.gateway.routes import route_document
from deploy.gateway.traffic import Backend, Replica, Split
from flywheel.errors import FlywheelError
from flywheel.serving import load_serving
from flywheel.settings import Settings
from flywheel.stack.envoy import program_path
from flywheel.stack.gateway import admin_url, doorman_answers, write_configuration
from flywheel.stack.gateway_door import needs_doorman
from flywheel.stack.ports import Ports, free_port
from flywheel.stack.probes import request

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
        return Gateway(admin_url(self.settings))

    def version(self, number: str, use_case: str = "flights") -> Backend:
        replica = Replica(free_port(), free_port())
        record = self.root / f"seen-{number}.jsonl"
        self.run([sys.executable, "-c", UPSTREAM, number, str(replica.http), str(replica.grpc), str(record)])
        return Backend(use_case, number, (replica,))

    def run(self, command: list[str]) -> None:
        environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}"}
        self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment))

    def start_envoy(self) -> None:
        """Start it last of all processes, and return when it has routes."""
        bootstrap = str(self.root / "envoy" / "bootstrap.json")
        self.run([program_path(), "-c", bootstrap, "--disable-hot-restart", "-l", "error"])
        until(lambda: self.admin.accepted().routes is not None)

    def restart_envoy(self) -> None:
        """End it as a crash does, and start it anew."""
        envoy = next(one for one in self.processes if isinstance(one.args, list) and one.args[0] == program_path())
        envoy.kill()
        envoy.wait()
        self.start_envoy()

    def route(self, *splits: Split) -> None:
        serving, dynamic = load_serving(self.root), self.root / "envoy" / "dynamic"
        backends = {one for split in splits for one in split.backends}
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

    def statistic(self, name: str) -> int:
        """Read one of Envoy's counters."""
        _, content = request("GET", f"{admin_url(self.settings)}/stats?filter={name}&format=json")
        return sum(int(one["value"]) for one in json.loads(content)["stats"] if one.get("name") == name)

    def health(self, port: int) -> str:
        """Return what Envoy thinks of a host: `healthy`, or why not."""
        _, content = request("GET", f"http://127.0.0.1:{self.ports.envoy_admin}/clusters")
        lines = content.decode().splitlines()
        return next(line.rpartition("::")[2] for line in lines if f"127.0.0.1:{port}::health_flags" in line).strip("/")

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
            until(lambda: doorman_answers(found.settings) is None)
        found.start_envoy()
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

    def sign(client: str | None, **claims: Any) -> str:
        body = {"iss": "https://login", "aud": "models", "sub": client, "exp": time.time() + 60} | claims
        body = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(body, key, "ES256", {"kid": "one"})

    return sign


def jwt_section(root: Path) -> str:
    return f"jwt: {{issuer: https://login, jwks: {root}/jwks.json, audiences: [models]}}"


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
