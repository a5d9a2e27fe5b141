"""The dashboards: up to date, well formed, and of series that exist.

No Grafana binary is to be had here: Grafana's own models read each file, but nothing draws one.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard as GrafanaDashboard

from deploy.dashboards import DASHBOARDS, FOLDER, document, write
from tests.deploy.conftest import free_port
from tests.platform.conftest import StartEnvoy, Told, page, type_names

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"\b((?:flywheel|envoy|process)_[a-z0-9_]+)")
# Only with TLS, or of the prometheus text's labels rather than series.
NOT_SERIES = {"envoy_cluster_name", "envoy_response_code_class"}


def test_the_files_are_what_the_module_writes(tmp_path: Path) -> None:
    write(tmp_path)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_text() for path in FOLDER.glob("*.json")}


def test_panels_have_titles_and_units_and_do_not_overlap() -> None:
    for dashboard in DASHBOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in document(dashboard)["panels"]:
            place = panel["gridPos"]
            cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
            assert not taken & cells, panel["title"]
            assert place["x"] + place["w"] <= 24
            taken |= cells
            assert panel["title"]
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert all(target["expr"] for target in panel["targets"])
        titles = [panel.title for panel in dashboard.panels]
        assert len(set(titles)) == len(titles)


def test_grafanas_own_models_read_each_and_know_every_field_and_its_type() -> None:
    register_default_plugins()
    for dashboard in DASHBOARDS:
        ours = document(dashboard)
        read = json.loads(JSONEncoder().encode(GrafanaDashboard.from_json(ours)))
        assert unknown(ours, read, dashboard.uid) == []


def test_a_field_that_grafana_does_not_know_or_of_another_type_is_noticed() -> None:
    register_default_plugins()
    ours = document(DASHBOARDS[0]) | {"colour": "blue"}
    read = json.loads(JSONEncoder().encode(GrafanaDashboard.from_json(ours)))
    assert unknown(ours, read, "x") == ["x/colour"]
    assert unknown({"title": 1}, {"title": "1"}, "x") == ["x/title"]


def unknown(ours: Any, read: Any, where: str) -> list[str]:
    """Return where `read` lacks something of `ours`, or has it otherwise; it may have more."""
    if isinstance(ours, dict) and isinstance(read, dict):
        return [
            found
            for key, value in ours.items()
            for found in (unknown(value, read[key], f"{where}/{key}") if key in read else [f"{where}/{key}"])
        ]
    if isinstance(ours, list) and isinstance(read, list) and len(ours) == len(read):
        pairs = enumerate(zip(ours, read, strict=True))
        return [found for place, (one, other) in pairs for found in unknown(one, other, f"{where}[{place}]")]
    return [] if ours == read and isinstance(ours, bool) == isinstance(read, bool) else [where]


def asked_names() -> set[str]:
    rules = yaml.safe_load((ROOT / "platform" / "prometheus" / "rules" / "flywheel.yml").read_text())
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    asked += [query for dashboard in DASHBOARDS for panel in dashboard.panels for query, _ in panel.queries]
    text = " ".join(re.sub(r"\w+:\w+:\w+", "", expression) for expression in asked)
    return set(NAME.findall(text)) - NOT_SERIES


def test_every_series_of_rules_and_dashboards_is_told_by_an_agent_the_exporter_or_envoy(
    told: Told, start_envoy: StartEnvoy
) -> None:
    envoy = start_envoy(upstream=free_port())
    names = told.names | type_names(page(f"{envoy.admin}/stats/prometheus"))
    bare = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked_names()}
    assert bare - names == set()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on PATH (apt-get install prometheus)")
def test_every_query_is_one_that_prometheus_can_read(tmp_path: Path) -> None:
    queries = [query for dashboard in DASHBOARDS for panel in dashboard.panels for query, _ in panel.queries]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "queries.json"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
