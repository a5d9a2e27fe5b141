"""What serving.yaml cannot say is one sentence and exit 2; nothing of the running gateway is touched."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.doorman.tokens import Book
from deploy.gateway.documents import write_document
from flywheel.errors import FlywheelError, SpecError
from flywheel.events import Event, EventKind
from flywheel.settings import Settings
from flywheel.stack.gateway import write_configuration
from flywheel.stack.ports import Ports

PORTS = Ports(postgres=1, s3=2, mlflow=3, gateway=4, envoy_admin=5)
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("gateway", "told"),
    [
        ("{auth: jwt}", "needs a section 'jwt'"),
        ("{auth: jwt, jwt: {issuer: a, jwks: /nowhere/jwks}}", "cannot be read"),
        ("{auth: jwt, jwt: {issuer: a, jwks: HOME/serving.yaml}}", "no JSON Web Key Set"),
        ("{auth: jwt, jwt: {issuer: a}}", "either 'jwks'"),
        ("{auth: jwt, jwt: {issuer: a, jwks_url: 'http://login.example.org/keys'}}", "keys could be forged"),
        ("{auth: jwt, jwt: {issuer: a, jwks_url: 'https://a/keys', jwks_ca: /nowhere}}", "cannot be read"),
        ("{tls: {certificate: /nowhere/c.pem, key: /nowhere/k.pem}}", "cannot be read"),
        ("{tls: {certificate: HOME/serving.yaml, key: HOME/serving.yaml}}", "Envoy refuses it"),
        ("{auth: token, clients: {'': {requests_per_second: 1}}}", "pattern is empty"),
        ("{clients: {a: {requests_per_second: 1}}}", "need auth"),
    ],
)
def test_what_cannot_be_served_is_one_sentence_and_changes_nothing(tmp_path: Path, gateway: str, told: str) -> None:
    (tmp_path / "serving.yaml").write_text(f"gateway: {gateway.replace('HOME', str(tmp_path))}\n")
    with pytest.raises(SpecError, match=told) as fault:
        write_configuration(Settings(home=tmp_path), PORTS)
    assert fault.value.exit_code == 2
    assert "\n" not in str(fault.value)
    assert not (tmp_path / "envoy").exists()


def test_a_document_that_envoy_refuses_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "cds.json"
    write_document(path, {"version_info": "0", "resources": []})
    before = path.read_text()
    bad = {"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "x", "lb_policy": "NONSENSE"}
    with pytest.raises(FlywheelError, match="NONSENSE"):
        write_document(path, {"version_info": "1", "resources": [bad]})
    assert path.read_text() == before


def event(seq: int, kind: EventKind, number: str, scopes: list[str]) -> Event:
    body = {"user": "svc", "name": "web", "scopes": scopes, "digest": "d", "expires_at": NOW.isoformat()}
    return Event(seq, kind, f"token:{number}", "ada", NOW, body, "", "")


def test_tokens_are_held_with_what_they_may_and_only_until_they_are_revoked() -> None:
    issued = [event(1, EventKind.TOKEN_ISSUED, "a", ["predict"]), event(2, EventKind.TOKEN_ISSUED, "b", ["tracking"])]
    book = Book().fold(issued, NOW)
    assert ({number: one.predicts for number, one in book.tokens.items()}, book.seq) == ({"a": True, "b": False}, 2)
    assert set(book.fold([event(3, EventKind.TOKEN_REVOKED, "a", [])], NOW).tokens) == {"b"}
    assert book.age(NOW + timedelta(hours=25)) == timedelta(hours=25)
