"""JSON Web Tokens before a real Envoy: which are refused, and that keys come and go while it runs."""

import base64
import hmac
import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from deploy.gateway.traffic import Split
from tests.deploy.gateway.house import TOKEN, House, certificate, house, until, write_token

CLAIMS: dict[str, Any] = {"iss": "https://login", "aud": "models", "sub": "ada"}
KEYS = {name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in ("one", "two")}


def write_keys(path: Path, *names: str) -> None:
    """Replace a JWKS by rename, as a rotation does."""
    publics = [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEYS[name].public_key())) for name in names]
    keys = [public | {"kid": name, "alg": "RS256"} for name, public in zip(names, publics, strict=True)]
    path.with_suffix(".new").write_text(json.dumps({"keys": keys}))
    path.with_suffix(".new").replace(path)


def signed(name: str = "one", **claims: Any) -> str:
    return jwt.encode(CLAIMS | {"exp": time.time() + 60} | claims, KEYS[name], "RS256", {"kid": name})


def forged(algorithm: str, secret: bytes | None) -> str:
    """Write what no library will: no signature, or HMAC with a public key as its secret."""
    parts = [{"alg": algorithm, "typ": "JWT", "kid": "one"}, CLAIMS | {"exp": time.time() + 60}]
    text = b".".join(_digits(json.dumps(part).encode()) for part in parts)
    return (text + b"." + (_digits(hmac.digest(secret, text, "sha256")) if secret else b"")).decode()


def _digits(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def public_pem() -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return KEYS["one"].public_key().public_bytes(serialization.Encoding.PEM, form)


REFUSED: dict[str, Callable[[], str]] = {
    "nothing": lambda: "",
    "expired": lambda: signed(exp=time.time() - 300),
    "without an end": lambda: jwt.encode(CLAIMS, KEYS["one"], "RS256", {"kid": "one"}),
    "not valid yet": lambda: signed(nbf=time.time() + 600),
    "another audience": lambda: signed(aud="others"),
    "another issuer": lambda: signed(iss="https://elsewhere"),
    "no signature": lambda: forged("none", None),
    "a public key as a secret": lambda: forged("HS256", public_pem()),
    "a key that is not there": lambda: signed("two"),
    "a known key's name on another": lambda: jwt.encode(
        CLAIMS | {"exp": time.time() + 60}, KEYS["two"], "RS256", {"kid": "one"}
    ),
    "no token": lambda: "x.y.z",
}


def section(root: Path, source: str = "jwks: {root}/jwks.json") -> str:
    return f"jwt: {{issuer: https://login, audiences: [models], {source.format(root=root)}}}"


@contextmanager
def guarded(root: Path, auth: str, source: str = "jwks: {root}/jwks.json") -> Iterator[House]:
    with house(root, f"gateway:\n  auth: {auth}\n  {section(root, source)}\n") as home:
        home.route(Split(home.version("1")))
        yield home


def status(home: House, token: str) -> int:
    return home.ask(authorization=f"Bearer {token}")[0] if token else home.ask()[0]


@pytest.mark.parametrize("auth", ["jwt", "any"])
def test_only_a_token_that_the_issuer_signed_for_this_gateway_and_for_now_is_let_in(tmp_path: Path, auth: str) -> None:
    write_keys(tmp_path / "jwks.json", "one")
    write_token(tmp_path)
    with guarded(tmp_path, auth) as home:
        until(lambda: status(home, signed()) == 200)
        for name, make in REFUSED.items():
            code, body, _ = home.ask(authorization=f"Bearer {make()}")
            assert code in (401, 403), name
            assert body["error"]["rule"] == "auth", name
        # Who is turned away counts for no version: a rollout's verdict reads these counters.
        assert len(home.seen("1")) == home.admin.counts()["flights-v1-champion"].requests
        assert status(home, TOKEN) == (200 if auth == "any" else 401)
        assert {one["headers"].get("x-flywheel-client") for one in home.seen("1")} <= {"ada", "svc-shop/web"}


def test_a_key_comes_and_goes_in_its_file_without_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    write_keys(path, "one")
    with guarded(tmp_path, "jwt") as home:
        old, new = signed("one"), signed("two")
        assert (status(home, old), status(home, new)) == (200, 401)
        write_keys(path, "one", "two")
        until(lambda: status(home, new) == 200, 5)
        assert status(home, old) == 200
        write_keys(path, "two")
        until(lambda: status(home, old) == 401, 5)
        # A token that was let in before is not let in again because somebody remembers it.
        assert [status(home, old) for _ in range(20)] == [401] * 20
        assert status(home, new) == 200
        path.with_suffix(".new").write_text("no keys")
        path.with_suffix(".new").replace(path)
        failures = "http.models.jwt_authn.jwks_fetch_failed"
        until(lambda: home.statistic(failures) >= 1, 10)
        assert status(home, new) == 200


class Issuer:
    """An issuer's HTTPS server of keys."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        certificate(folder, "issuer")
        handler = type("Handler", (_Handler,), {"path_of_keys": folder / "jwks.json"})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "issuer.pem", folder / "issuer.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def source(self) -> str:
        where = f"https://localhost:{self.server.server_address[1]}/keys"
        return f"jwks_url: '{where}', jwks_ca: {self._folder}/issuer.pem, refresh_seconds: 1"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    path_of_keys: Path

    def do_GET(self) -> None:
        content = self.path_of_keys.read_bytes()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_keys_of_an_address_are_asked_for_again_and_stay_while_it_is_gone(tmp_path: Path) -> None:
    write_keys(tmp_path / "jwks.json", "one")
    issuer = Issuer(tmp_path)
    try:
        with guarded(tmp_path, "jwt", issuer.source) as home:
            until(lambda: status(home, signed("one")) == 200)
            write_keys(tmp_path / "jwks.json", "two")
            until(lambda: status(home, signed("two")) == 200, 10)
            until(lambda: status(home, signed("one")) == 401, 10)
            issuer.close()
            failures = "http.models.jwt_authn.jwks_fetch_failed"
            until(lambda: home.statistic(failures) >= 2, 20)
            assert status(home, signed("two")) == 200
    finally:
        issuer.close()


def test_keys_of_an_address_that_cannot_prove_its_name_let_nobody_in(tmp_path: Path) -> None:
    write_keys(tmp_path / "jwks.json", "one")
    issuer = Issuer(tmp_path)
    certificate(tmp_path, "other")
    try:
        with guarded(tmp_path, "jwt", issuer.source.replace("issuer.pem", "other.pem")) as home:
            until(lambda: home.statistic("http.models.jwt_authn.jwks_fetch_failed") >= 1, 20)
            assert status(home, signed("one")) == 401
    finally:
        issuer.close()
