"""A real Envoy and a real doorman before real servers: who is let in, how often, how large, by which protocol."""

import http.client
import json
import ssl
import stat
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509

from deploy.gateway.arms import arm_counts
from deploy.gateway.traffic import Split
from flywheel.stack.gateway import admin_socket, admin_url
from flywheel.stack.probes import request
from tests.deploy.gateway.house import NUMBER, TOKEN, House, certificate, house, issuer, jwt_section, until, write_token


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
            assert "JSON Web Token" in body["error"]["message"]
        assert home.ask(authorization=f"Bearer {sign('ada', aud='others')}")[0] == 403


def test_a_json_web_token_that_names_nobody_is_refused_as_its_limits_would_be_nobodys(tmp_path: Path) -> None:
    sign, limits = issuer(tmp_path), "limits: {requests_per_second: 1}"
    with house(tmp_path, f"gateway:\n  auth: jwt\n  {jwt_section(tmp_path)}\n  {limits}\n") as home:
        home.route(Split(home.version("1")))
        assert home.ask(authorization=f"Bearer {sign('ada')}")[0] == 200
        for nameless in (sign(None), sign("")):
            status, body, _ = home.ask(authorization=f"Bearer {nameless}", x_flywheel_client="ada")
            assert status == 403
            assert "does not name a client" in body["error"]["message"]
        assert len(home.seen("1")) == 1


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
            assert "predict" in body["error"]["message"]


def test_each_client_has_its_rate_and_its_day(tmp_path: Path) -> None:
    sign = issuer(tmp_path)
    limits = "limits: {requests_per_day: 3}\n  clients: {fast*: {requests_per_second: 2}}"
    with house(tmp_path, f"gateway:\n  auth: jwt\n  {jwt_section(tmp_path)}\n  {limits}\n") as home:
        home.route(Split(home.version("1")))
        until(lambda: home.ask(authorization=f"Bearer {sign('probe')}")[0] in (200, 429))
        slow = [home.ask(authorization=f"Bearer {sign('slow')}") for _ in range(4)]
        assert [status for status, _, _ in slow] == [200, 200, 200, 429]
        assert "of today" in slow[-1][1]["error"]["message"]
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
        assert "1000 bytes" in body["error"]["message"]
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
            home.route(Split(champion, ((canary, percent),), "r"))
            moved = {n for n in range(100) if home.ask(x_flywheel_unit=f"user-{n}")[1]["version"] == "2"}
            assert moved == {n for n in range(100) if home.ask(x_flywheel_unit=f"user-{n}")[1]["version"] == "2"}
            assert before < moved
            before = moved


def test_mirrored_requests_say_shadow_and_count_for_no_arm(tmp_path: Path) -> None:
    with house(tmp_path, "defaults: {mirror_percent: 100}\n") as home:
        champion, canary = home.version("1"), home.version("2")
        home.route(Split(champion, ((canary, 0),), "r"))
        assert {home.ask()[1]["version"] for _ in range(20)} == {"1"}
        until(lambda: len(home.seen("2")) == 20)
        assert {one["headers"]["x-flywheel-arm"] for one in home.seen("2")} == {"shadow"}
        assert {one["headers"]["x-flywheel-arm"] for one in home.seen("1")} == {"champion"}
        counts = arm_counts(Split(champion, ((canary, 0),)), home.admin.counts())
        assert {arm: one.requests for arm, one in counts.items()} == {"champion": 20, "challenger": 0, "shadow": 20}


def test_envoy_is_administered_by_its_user_alone_and_read_by_anybody(tmp_path: Path) -> None:
    with house(tmp_path, "{}") as home:
        home.route(Split(home.version("1")))
        assert stat.S_IMODE(admin_socket(home.settings).stat().st_mode) == 0o600
        readable, admin = f"http://127.0.0.1:{home.ports.envoy_admin}", admin_url(home.settings)
        assert b"# TYPE envoy_cluster_upstream_rq" in request("GET", f"{readable}/stats/prometheus")[1]
        for path in ("/ready", "/stats?filter=x", "/clusters?format=json"):
            assert request("GET", readable + path)[0] == 200
        for method, path in (
            ("POST", "/quitquitquit"),
            ("POST", "/drain_listeners"),
            ("POST", "/stats"),
            ("POST", "/runtime_modify?x=1"),
            ("GET", "/config_dump"),
            ("GET", "/stats/../config_dump"),
            ("GET", "/"),
        ):
            assert request(method, readable + path)[0] == 403, path
        assert request("POST", f"{admin}/reopen_logs")[0] == 200
        assert home.ask()[0] == 200


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
