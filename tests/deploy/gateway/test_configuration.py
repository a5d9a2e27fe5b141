"""Documents for Envoy: taken, or refused in one sentence whatever serving.yaml says, and whole whoever is killed."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.desired import Served
from deploy.gateway.routes import route_document
from deploy.gateway.traffic import Backend, Replica, Split
from deploy.local.places import Agent, Place, Role
from deploy.local.routing import Routing
from deploy.shares import Share
from flywheel.errors import SpecError, TransientError
from flywheel.settings import Settings
from flywheel.stack.gateway import check, checked_serving, is_applied, write_configuration
from flywheel.stack.ports import Ports, remember_ports
from tests.deploy.conftest import ENVIRONMENT, ROOT
from tests.deploy.gateway.house import certificate, house, issuer, until

PORTS = Ports(postgres=1, s3=2, mlflow=3, gateway=4, envoy_admin=5)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
PATTERN = st.one_of(TEXT, st.sampled_from(["*", "batch-*", "[!a]*", "[", "a]", "?", "svc/[a-z]*", "(", "%REQ(x)%"]))
NUMBER = st.one_of(st.none(), st.sampled_from([1, 7, 1_000_000, 2**31]))
LIMITS = st.fixed_dictionaries({"requests_per_second": NUMBER, "burst": NUMBER, "requests_per_day": NUMBER})
GATEWAY = st.fixed_dictionaries(
    {
        "auth": st.sampled_from(["none", "token", "jwt", "any"]),
        "limits": LIMITS,
        "clients": st.dictionaries(PATTERN, LIMITS, max_size=3),
        "threads": st.integers(1, 4),
        "connections": st.integers(0, 2**33),
        "memory_mb": st.integers(100, 2**31),
        "request_seconds": st.floats(allow_nan=False),
        "host": st.one_of(st.sampled_from(["127.0.0.1", "0.0.0.0", "::1"]), TEXT),  # noqa: S104  # only checked
    },
    optional={
        "tls": st.just({"certificate": "HOME/server.pem", "key": "HOME/server.key"}),
        "jwt": st.fixed_dictionaries(
            {"issuer": TEXT, "jwks": st.just("HOME/jwks.json"), "claim": TEXT}, optional={"audiences": st.lists(TEXT)}
        ),
    },
)
DOCUMENT = st.fixed_dictionaries(
    {"gateway": GATEWAY},
    optional={
        "observability": st.fixed_dictionaries(
            {"otlp": st.one_of(st.just("http://127.0.0.1:4318"), TEXT), "sample_percent": st.floats(0, 100)}
        )
    },
)


@settings(max_examples=40, deadline=None)
@given(DOCUMENT)
def test_whatever_serving_yaml_says_is_taken_by_envoy_or_refused_in_one_sentence(document: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        certificate(root, "server")
        issuer(root)
        (root / "serving.yaml").write_text(json.dumps(document).replace("HOME", str(root)))
        said = _refusal(root)
        assert said is None or (str(root / "serving.yaml") in said and "\n" not in said)


def _refusal(root: Path) -> str | None:
    try:
        check(Settings(home=root), PORTS)
    except SpecError as fault:
        return str(fault)
    return None


WRITER = """
import os, signal, sys
from pathlib import Path
from deploy.gateway.documents import write_document
from deploy.desired import Served
from deploy.gateway.routes import route_document
from deploy.gateway.traffic import Backend, Replica, Split
path, when = Path(sys.argv[1]), sys.argv[2]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
opened, replaced = Path.open, Path.replace
def half(self, *words, **named):
    file = opened(self, *words, **named)
    if self.suffix == ".new":
        file.write('{"version')
        file.flush()
        die()
    return file
if when == "half":
    Path.open = half
elif when == "before":
    os.fsync = die
elif when == "after":
    Path.replace = lambda self, target: (replaced(self, target), die())
write_document(path, route_document([Split(Backend("flights", "2", (Replica(4002),)))]))
"""


@pytest.mark.parametrize(("when", "version"), [("half", "1"), ("before", "1"), ("after", "2")])
def test_a_kill_in_the_middle_leaves_the_old_document_or_the_new_one(tmp_path: Path, when: str, version: str) -> None:
    path = tmp_path / "rds.json"
    documents = {one: route_document([Split(Backend("flights", one, (Replica(4000 + int(one)),)))]) for one in "12"}
    texts = {version: json.dumps(one, indent=1) for version, one in documents.items()}
    path.write_text(texts["1"])
    command = [sys.executable, "-c", WRITER, str(path), when]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    assert path.read_text() == texts[version]
    again = subprocess.run([*command[:-1], "never"], env=ENVIRONMENT, cwd=ROOT, capture_output=True, check=False)
    assert again.returncode == 0, again.stderr
    assert path.read_text() == texts["2"]
    assert list(tmp_path.iterdir()) == [path]


def test_what_envoy_refuses_is_told_within_seconds_traffic_goes_on_and_a_sound_document_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house(tmp_path, "{}") as home:
        backend = home.version("1")
        served = Served("flights", "1", "sha256:0")
        (replica,) = backend.replicas
        places = {served.subject: Place(served, agents=(Agent(1, replica.http, replica.grpc, "s", Role.SERVING),))}
        routing, shares = Routing(home.settings, home.admin), [Share(served)]
        until(lambda: routing.bring(shares, places) == {"flights"})
        with monkeypatch.context() as broken:
            broken.setattr("deploy.gateway.documents.validate", lambda *_: None)
            broken.setattr("deploy.local.routing.cluster_document", _refused)
            until(lambda: _told(lambda: routing.bring(shares, places)) is not None, 8)
            assert home.admin.refusals() == 1
            assert home.ask()[0] == 200
        until(lambda: routing.bring(shares, places) == {"flights"})


def _told(step: Callable[[], object]) -> str | None:
    try:
        step()
    except TransientError as fault:
        return str(fault) if "refuses" in str(fault) else None
    return None


def _refused(*_: object) -> dict[str, Any]:
    kind = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    cluster = {"@type": kind, "name": "x", "type": "STATIC", "connect_timeout": "-1s"}
    return {"version_info": "new", "resources": [cluster]}


def test_what_serving_yaml_says_of_the_gateway_is_known_to_be_in_force_or_not(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)

    def said(text: str) -> bool:
        (tmp_path / "serving.yaml").write_text(text)
        return is_applied(settings, checked_serving(settings))

    assert said("{}")  # nothing was started here
    remember_ports(settings, PORTS)
    assert not said("{}")
    write_configuration(settings, PORTS)
    assert said("{}")
    assert said("defaults: {replicas: 3}")
    assert not said("gateway: {auth: token}")
    with pytest.raises(SpecError, match=str(tmp_path / "serving.yaml")):
        said("gateway: {connections: 10000000}")
