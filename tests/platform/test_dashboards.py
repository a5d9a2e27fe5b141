"""The dashboards: up to date, well formed, and of series that exist.

No Grafana binary is to be had here: what is checked is what its JSON model asks of a dashboard, not that it draws one.
"""

import re
import urllib.request
from collections.abc import Callable
from pathlib import Path

import yaml

from deploy.dashboards import DASHBOARDS, FOLDER, document, write
from deploy.exporter import Exporter
from tests.deploy.conftest import RunningAgent, free_port
from tests.platform.conftest import StartEnvoy

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


def page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # http, of our own
        return str(answer.read().decode())


def asked_names() -> set[str]:
    rules = yaml.safe_load((ROOT / "platform" / "prometheus" / "rules" / "flywheel.yml").read_text())
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    asked += [query for dashboard in DASHBOARDS for panel in dashboard.panels for query, _ in panel.queries]
    text = " ".join(re.sub(r"\w+:\w+:\w+", "", expression) for expression in asked)
    return set(NAME.findall(text)) - NOT_SERIES


def test_every_series_of_rules_and_dashboards_is_told_by_an_agent_the_exporter_or_envoy(
    start_agent: Callable[..., RunningAgent], tiny_scorer: str, start_envoy: StartEnvoy, tmp_path: Path
) -> None:
    agent = start_agent(tiny_scorer)
    envoy = start_envoy(upstream=free_port())
    exporter = Exporter(tmp_path, {})
    told = page(f"{agent.url}/metrics") + page(f"{envoy.admin}/stats/prometheus")
    told += "".join(f"# TYPE {family.name}_total\n# TYPE {family.name} \n" for family in exporter.registry.collect())
    names = set(re.findall(r"^# TYPE (\S+)", told, re.MULTILINE))
    bare = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked_names()}
    assert bare - names == set()
