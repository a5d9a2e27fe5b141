"""The review pages: what a reviewer reads, and a click that goes through the gate."""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from markupsafe import escape

from flywheel.events import EventKind, append
from flywheel.identities import AGENTS, CONTROLLER, GATES
from registry.gates.evidence import Measurement, Outcome, evidence_body

ARTIFACTS = "mlflow-artifacts/artifacts"
LIMITS = {"size_mb": 0.001}  # stricter than any policy here, so that evidence stays valid
NO = {"decision": "request_changes", "comment": "Not yet."}

if TYPE_CHECKING:
    from tests.registry.conftest import Server


@pytest.fixture
def pair(server: "Server", model: str) -> tuple[str, str, str]:
    """A model with a champion and a candidate, each with a metric, a parameter and a dataset."""
    champion = described(server, model, roc_auc=0.71, depth="6")
    assert server.move("grace", model, champion, "Production").status_code == 200
    server.made(CONTROLLER, "registered-models/alias", name=model, alias="champion", version=champion)
    return model, champion, described(server, model, roc_auc=0.73, depth="8")


def described(server: "Server", model: str, roc_auc: float, depth: str) -> str:
    version = server.register(model)
    run = server.version(model, version)["run_id"]
    metric = {"key": "roc_auc", "value": roc_auc, "timestamp": 1, "step": 0}
    server.made("ada", "runs/log-batch", run_id=run, metrics=[metric], params=[{"key": "depth", "value": depth}])
    dataset = {"name": "flights", "digest": f"d{depth}", "source_type": "python", "source": "{}"}
    server.made("ada", "runs/log-inputs", run_id=run, datasets=[{"dataset": dataset, "tags": []}])
    return version


@pytest.fixture
def explained(server: "Server", model: str) -> tuple[str, str]:
    """A version whose run has intervals, a comparison with its champion, and documents."""
    run, folder = server.run()
    values = {"test_rmse": 4.2, "test_rmse_low": 4.0, "test_rmse_high": 4.5, "test_rows": 1200.0}
    values |= {"test_loss_over_champion": -0.4, "test_loss_over_champion_low": -0.7}
    values |= {"test_loss_over_champion_high": -0.1}
    metrics = [{"key": key, "value": value, "timestamp": 1, "step": 0} for key, value in values.items()]
    server.made("ada", "runs/log-batch", run_id=run, metrics=metrics)
    for name in ("card.html", "model.html"):
        path = f"{ARTIFACTS}/{folder.removesuffix('/model')}/{name}"
        assert server.call("ada", "PUT", path, data=b"<p>What it is.</p>").status_code == 200
    tags = [{"key": "semver", "value": "1.2.0"}, {"key": "semver_reason", "value": "A new window of data."}]
    source = {"name": model, "source": f"mlflow-artifacts:/{folder}", "run_id": run, "tags": tags}
    return model, str(server.made("ada", "model-versions/create", **source)["model_version"]["version"])


def page(server: "Server", user: str | None, path: str) -> tuple[int, str]:
    response = server.call(user, "GET", f"/flywheel/review/{path}")
    return response.status_code, response.text


def test_everything_of_both_packages_stands_side_by_side(server: "Server", told: tuple[str, str, str]) -> None:
    model, _, candidate = told
    text = page(server, "grace", f"{model}/{candidate}")[1]
    for shown in (
        "−0.2000 (−0.3000 to −0.1000)",  # the paired difference with its interval
        "sky is fog",
        "+0.2000 (0.1500 to 0.2500)",
        "removed</span> <code>rain</code>",
        "added</span> <code>snow</code>",
        "41 %, large",  # wind moved by 0.4, and its middle 98 % span 0.98
        "<code>aaaaaaaaaaaa</code> → <code>bbbbbbbbbbbb</code>",
        "100 rows, 2026-01-01 to 2026-02-01",
    ):
        assert shown in text, shown
    assert text.index("sky is fog") < text.index("sky is sun")
    assert text.count("get-artifact?path=plots/roc.png") == 4  # a link and a picture on either side
    assert "Champion (1) has no such plot." in text  # of residuals
    assert re.search(r"calibration\.png", text)


def test_code_is_escaped_in_its_difference(server: "Server", told: tuple[str, str, str]) -> None:
    text = page(server, "grace", f"{told[0]}/{told[2]}")[1]
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_a_champion_is_shown_as_such_and_alone(server: "Server", told: tuple[str, str, str]) -> None:
    text = page(server, "grace", f"{told[0]}/{told[1]}")[1]
    assert "This version is the champion: it takes the traffic." in text
    assert 'data-stage="Production"' not in text


def test_pages_run_their_own_script_and_no_other(server: "Server", told: tuple[str, str, str]) -> None:
    response = server.call("grace", "GET", f"/flywheel/review/{told[0]}/{told[2]}")
    policy = response.headers["Content-Security-Policy"]
    (nonce,) = set(re.findall(r"nonce-([\w-]+)", policy))
    assert policy.startswith("default-src 'none'")
    assert set(re.findall(r'<(?:script|style)[^>]*nonce="([^"]+)"', response.text)) == {nonce}
    assert len(re.findall(r"<(?:script|style)\b", response.text)) == 2
    assert not re.search(r"<[^>]+\son\w+=", response.text)
    assert not re.search(r"<[^>]+\sstyle=", response.text)
    again = server.call("grace", "GET", f"/flywheel/review/{told[0]}/{told[2]}")
    assert nonce not in again.headers["Content-Security-Policy"]


def test_what_people_say_stands_on_the_page_and_is_escaped(server: "Server", model: str) -> None:
    version = server.register(model)
    said = {"decision": "request_changes", "comment": "<img src=x onerror=alert(1)> & more"}
    assert server.call("grace", "POST", f"/flywheel/api/review/{model}/{version}", json=said).status_code == 200
    text = page(server, "grace", f"{model}/{version}")[1]
    assert "<img src=x" not in text
    assert "&lt;img src=x onerror=alert(1)&gt; &amp; more" in text
    assert "Changes requested" in text
    assert "asked for changes" in text
    assert 'value="withdraw"' in text
    assert 'value="withdraw"' not in page(server, "ada", f"{model}/{version}")[1]


def test_names_of_models_are_escaped_wherever_they_stand(server: "Server") -> None:
    name = f"<script>{uuid.uuid4().hex}<script>&\"'"
    server.made("ada", "registered-models/create", name=name)
    version = server.register(name)
    status, text = page(server, "grace", f"{quote(name, safe='')}/{version}")
    assert status == 200
    assert name not in text
    assert str(escape(name)) in text
    listed = page(server, "grace", f"?model={quote(name, safe='')}")[1]
    assert name not in listed
    assert f"/flywheel/review/{quote(name, safe='')}/{version}" in listed


@pytest.mark.parametrize("user", ["grace", "ada", "admin", AGENTS])
def test_breaking_the_glass_is_offered_to_who_may(server: "Server", model: str, user: str) -> None:
    version = server.register(model)
    assert server.call("grace", "POST", f"/flywheel/api/review/{model}/{version}", json=NO).status_code == 200
    assert ("Break the glass" in page(server, user, f"{model}/{version}")[1]) == (user == "admin")


@pytest.mark.parametrize(
    ("gate", "shown"),
    [
        ({"outcome": "pass", "value": 11.84, "limit": 25.0, "unit": "ms"}, ("Pass", "11.8 ms", "limit 25 ms")),
        ({"outcome": "pass", "value": 1536.4, "limit": 2e3, "unit": "MB"}, ("1,536 MB", "limit 2,000 MB")),
        ({"outcome": "fail", "value": 30.0, "low": 28.0, "high": 33.0}, ("Fail", "28 to 33", "flywheel gates run")),
        ({"outcome": "could_not_run"}, ("Could not run", "Why &amp; how.", "7 minutes ago")),
        ({"outcome": "pass", "digest": "sha256:other"}, ("Other bytes",)),
        ({"outcome": "pass", "minutes": 60 * 24 * 31}, ("Stale",)),
    ],
)
def test_a_gate_shows_its_state_number_limit_age_and_command(
    server: "Server", gate: dict[str, Any], shown: tuple[str, ...]
) -> None:
    model = server.model(prefix="gated")
    version = server.register(model)
    measure(server, model, version, "size", **gate)
    text = page(server, "grace", f"{model}/{version}")[1]
    section = text[text.index('<ul class="gates">') : text.index('id="metrics"')]
    for words in (*shown, "Not measured"):  # the card was not
        assert words in section, words


def test_where_training_scored_no_part_those_that_the_gate_looked_at_are_shown(server: "Server") -> None:
    model = server.model(prefix="gated")
    version = server.register(model)
    assert "no parts were scored" in page(server, "grace", f"{model}/{version}")[1]
    worst = [
        {"part": f"weather is {name}", "rows": 1000, "ratio": ratio} for name, ratio in (("fog", 1.34), ("sun", 0.9))
    ]
    measure(server, model, version, "slices", outcome="pass", details={"parts": 2, "failed": [], "worst": worst})
    text = page(server, "grace", f"{model}/{version}")[1]
    assert "no parts were scored" not in text
    tile = text[text.index("Weakest part") :].split("</a>")[0]
    assert "1.34 times" in tile
    assert "where weather is fog" in tile
    section = text[text.index('id="slices"') :].split("</details>")[0]
    assert section.index("weather is fog") < section.index("weather is sun")
    measure(server, model, version, "slices", outcome="pass", digest="sha256:other", details={"worst": worst})
    assert "no parts were scored" in page(server, "grace", f"{model}/{version}")[1]


def measure(server: "Server", model: str, version: str, gate: str, **said: Any) -> None:
    """Record what a gate would have measured of the version's bytes."""
    minutes, digest = said.pop("minutes", 7), said.pop("digest", None)
    found = Measurement(sentence="Why & how.", **said | {"outcome": Outcome(said["outcome"])})
    digest = digest or server.call("grace", "GET", f"/flywheel/api/standing/{model}/{version}").json()["digest"]
    command = f"flywheel gates run {model} {version} --gate {gate}"
    body = evidence_body(model, version, gate, found, digest=digest, command=command, limits=LIMITS, champion=None)
    engine = sa.create_engine(server.known.databases["server"], poolclass=sa.NullPool)
    with engine.begin() as connection:
        at = datetime.now(UTC) - timedelta(minutes=minutes)
        append(connection, EventKind.GATE_MEASURED, f"{model}/{version}", GATES, body, at)


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("nothing/1", 404, "nothing"),
        ("nothing/abc", 400, "abc"),
        ("?stage=Nowhere", 400, "No version waits in stage &#39;Nowhere&#39;. Stages here: None, Staging."),
        ("?missing=sleep", 400, "Nothing is known to lack &#39;sleep&#39;."),
        ("?page=0", 400, "Page &#39;0&#39; is no number from 1 on."),
        ("?page=x", 400, "Page &#39;x&#39; is no number from 1 on."),
    ],
)
def test_what_does_not_exist_is_a_page_with_a_sentence(server: "Server", path: str, status: int, sentence: str) -> None:
    found, text = page(server, "grace", path)
    assert found == status
    assert sentence in text
    assert "See the versions that wait" in text


def test_the_list_says_what_each_version_lacks_and_filters_by_it(server: "Server") -> None:
    model = server.model(prefix="gated")
    asked, failing = server.register(model), server.register(model)
    assert server.call("grace", "POST", f"/flywheel/api/review/{model}/{asked}", json=NO).status_code == 200
    measure(server, model, failing, "size", outcome="fail")
    text = page(server, "grace", f"?model={model}")[1]
    assert text.index(f"{model}/{failing}") < text.index(f"{model}/{asked}")  # the newest first
    for words in ("Changes requested", "Gates failing: size", "Gates not measured", "Needs review"):
        assert words in text
    for lack, shown, hidden in (("failing", failing, asked), ("changes", asked, failing), ("review", failing, asked)):
        text = page(server, "grace", f"?model={model}&missing={lack}")[1]
        assert f"{model}/{shown}" in text
        assert f"{model}/{hidden}" not in text
    assert "Nothing fits" in page(server, "grace", f"?model={model}&stage=Staging")[1]


def test_a_stranger_sees_no_page(server: "Server", pair: tuple[str, str, str]) -> None:
    assert page(server, None, "")[0] == 401
    assert page(server, None, f"{pair[0]}/{pair[2]}")[0] == 401


def test_anybody_logged_in_may_read(server: "Server", pair: tuple[str, str, str]) -> None:
    assert page(server, AGENTS, "")[0] == 200
    assert page(server, AGENTS, f"{pair[0]}/{pair[2]}")[0] == 200


def test_the_page_shows_the_candidate_beside_the_champion(server: "Server", pair: tuple[str, str, str]) -> None:
    _, text = page(server, "grace", f"{pair[0]}/{pair[2]}")
    for shown in (
        "0.7300",
        "0.7100",
        "+0.0200",
        "Neither is called better",
        "depth",
        "d8",
        "d6",
        "registered version",
        "Move to Production",
    ):
        assert shown in text


def test_the_page_shows_intervals_the_semantic_version_and_what_there_is_to_read(
    server: "Server", explained: tuple[str, str]
) -> None:
    text = page(server, "grace", "/".join(explained))[1]
    assert "(4.0000 to 4.5000)" in text
    assert "test_rmse_low" not in text
    assert "−0.4000" in text
    assert "between −0.7000 and −0.1000" in text
    assert "1.2.0" in text
    assert "A new window of data." in text
    assert "/artifacts/card.html" in text
    assert "checks.html" not in text


def test_the_author_reads_what_is_missing_and_finds_no_button(server: "Server", pair: tuple[str, str, str]) -> None:
    _, text = page(server, "ada", f"{pair[0]}/{pair[2]}")
    assert "its author may not approve it (four eyes). A reviewer (alan, grace) can" in text
    assert 'data-stage="Production"' not in text


def test_the_list_names_what_waits_and_not_what_is_in_production(server: "Server", pair: tuple[str, str, str]) -> None:
    model, champion, candidate = pair
    _, text = page(server, "grace", "")
    assert f"/flywheel/review/{model}/{candidate}" in text
    assert f"/flywheel/review/{model}/{champion}" not in text


def test_a_version_that_does_not_exist_is_a_404_with_a_way_on(server: "Server") -> None:
    status, text = page(server, "grace", "nothing/1")
    assert status == 404
    assert "See the versions that wait" in text


def test_what_people_write_is_escaped(server: "Server", model: str) -> None:
    version = server.register(model)
    run = server.version(model, version)["run_id"]
    server.made("ada", "runs/log-batch", run_id=run, params=[{"key": "p", "value": "<script>alert(1)</script>"}])
    assert "<script>alert(1)" not in page(server, "grace", f"{model}/{version}")[1]


def test_a_version_that_was_rolled_back_is_refused_and_its_page_says_why(
    server: "Server", pair: tuple[str, str, str]
) -> None:
    model, _, candidate = pair
    engine = sa.create_engine(server.known.databases["controller"], poolclass=sa.NullPool)
    body = {"rollout": "r", "cause": "verdict", "reason": "6 of 35 requests failed.", "state": "done"}
    with engine.begin() as connection:
        append(connection, EventKind.ROLLOUT_ROLLED_BACK, f"{model}/{candidate}", CONTROLLER, body)
    refused = server.move("grace", model, candidate, "Production")
    assert refused.status_code == 403
    assert "was rolled back: 6 of 35 requests failed. Train a new version." in refused.json()["message"]
    _, text = page(server, "grace", f"{model}/{candidate}")
    assert "was rolled back: 6 of 35 requests failed." in text
    assert "Move to Production" not in text


def test_the_policy_page_tells_the_policy_and_takes_no_proposal_of_ones_own(server: "Server") -> None:
    response = server.call("ada", "GET", "/flywheel/policy")
    text = response.text
    assert response.status_code == 200
    for words in ("In force", "grace@example.org", "Break the glass, with a reason", "Adopted by"):
        assert words in text
    assert server.call(None, "GET", "/flywheel/policy").status_code == 401


def test_a_proposal_shows_what_it_changes_and_who_may_decide(server: "Server") -> None:
    document = server.call("ada", "GET", "/flywheel/api/policy").json()["document"]
    document["gates"]["expire"] = "29d"
    sent = {"document": json.dumps(document), "reason": f"<b>{uuid.uuid4().hex}</b>"}
    made = server.call("ada", "POST", "/flywheel/api/policy/proposals", json=sent)
    assert made.status_code == 200, made.text
    number, vote = made.json()["number"], "policy/proposals/{}/reject"
    own, others = (server.call(user, "GET", "/flywheel/policy").text for user in ("ada", "grace"))
    shown = others[others.index(f"Proposal {number}<") :].split("</article>")[0]
    assert str(escape(sent["reason"])) in shown
    assert "+" in shown
    assert "expire: 29d" in shown
    assert 'data-vote="approve"' in shown
    shown = own[own.index(f"Proposal {number}<") :].split("</article>")[0]
    assert 'data-vote="approve"' not in shown
    body = {"comment": "A test."}
    assert server.call("grace", "POST", f"/flywheel/api/{vote.format(number)}", json=body).status_code == 200
    after = server.call("grace", "GET", "/flywheel/policy").text
    assert "Rejected by grace: A test." in after[after.index(f"Proposal {number}<") :].split("</article>")[0]


def test_the_history_page_tells_who_was_champion_and_by_whose_decision(
    server: "Server", pair: tuple[str, str, str]
) -> None:
    model, champion, _ = pair
    text = server.call("ada", "GET", f"/flywheel/history/{model}").text
    for words in (f"Version {champion}", "Put into Production by grace", "No stage", '<svg class="reigns"'):
        assert words in text
    assert "No version of it was there" in server.call("ada", "GET", f"/flywheel/history/{model}?at=2020-01-01").text


@pytest.mark.parametrize(("path", "status"), [("nothing", 404), ("nothing?at=noon", 400)])
def test_a_history_that_is_not_there_is_a_page_with_a_sentence(server: "Server", path: str, status: int) -> None:
    response = server.call("ada", "GET", f"/flywheel/history/{path}")
    assert response.status_code == status
    assert "Nothing to show here" in response.text
