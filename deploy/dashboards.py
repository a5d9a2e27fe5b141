"""Grafana's dashboards, written from here: `python -m deploy.dashboards` fills platform/grafana/dashboards."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "platform" / "grafana" / "dashboards"
WIDTH, HEIGHT = 12, 8  # of a panel; Grafana's grid is 24 wide
SOURCE = {"type": "prometheus", "uid": "${source}"}
SCOPE = 'use_case=~"$use_case",version=~"$version"'


@dataclass(frozen=True)
class Panel:
    """A graph over time: its title, Grafana's unit, and its queries with their legends."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Dashboard:
    """A page: its uid, title, panels in reading order, and the labels by which one chooses."""

    uid: str
    title: str
    panels: tuple[Panel, ...]
    choices: tuple[str, ...] = ()


def quantile(share: float, by: str, scope: str = SCOPE) -> str:
    """Return the query for a quantile of the requests' duration, in seconds."""
    buckets = f"sum by (le, {by}) (rate(flywheel_request_seconds_bucket{{{scope}}}[5m]))"
    return f"histogram_quantile({share}, {buckets})"


def rate(name: str, by: str, scope: str = SCOPE) -> str:
    """Return the query for a counter's rate, in units a second."""
    return f"sum by ({by}) (rate({name}{{{scope}}}[5m]))"


def mean(histogram: str, by: str, scope: str = SCOPE) -> str:
    """Return the query for the mean of what a histogram counts."""
    return f"{rate(f'{histogram}_sum', by, scope)} / {rate(f'{histogram}_count', by, scope)}"


BOTH, ARMS = "use_case, version", "version, arm"
SERVED = "{{use_case}} v{{version}}"
OVERVIEW = Dashboard(
    "flywheel-serving",
    "Flywheel: serving",
    (
        Panel("Requests", "reqps", ((rate("flywheel_requests_total", BOTH), SERVED),)),
        Panel("Share of requests that fail", "percentunit", (("use_case_version:flywheel_errors:ratio5m", SERVED),)),
        Panel("Duration, p50", "s", ((quantile(0.5, BOTH), SERVED),)),
        Panel("Duration, p99", "s", ((quantile(0.99, BOTH), SERVED),)),
        Panel("Rows that wait", "short", ((f"sum by ({BOTH}) (flywheel_queue_rows{{{SCOPE}}})", SERVED),)),
        Panel("Ready replicas", "short", ((f"sum by ({BOTH}) (flywheel_ready{{{SCOPE}}})", SERVED),)),
        Panel("Workers that answer", "short", ((f"sum by ({BOTH}) (flywheel_workers_live{{{SCOPE}}})", SERVED),)),
        Panel("Open connections", "short", ((f"sum by ({BOTH}) (flywheel_open_connections{{{SCOPE}}})", SERVED),)),
        Panel("Parts of the stack that answer", "bool", (("flywheel_dependency_up", "{{name}}"),)),
        Panel("Memory of agents", "bytes", (('process_resident_memory_bytes{job="agent"}', "{{instance}}"),)),
    ),
    ("use_case", "version"),
)
VERSION = Dashboard(
    "flywheel-version",
    "Flywheel: one version, arms side by side",
    (
        Panel("Requests by arm", "reqps", ((rate("flywheel_requests_total", ARMS), "v{{version}} {{arm}}"),)),
        Panel(
            "Share of requests that fail, by arm",
            "percentunit",
            ((f"use_case_version_arm:flywheel_errors:ratio5m{{{SCOPE}}}", "v{{version}} {{arm}}"),),
        ),
        Panel("Duration by arm, p50", "s", ((quantile(0.5, ARMS), "v{{version}} {{arm}}"),)),
        Panel("Duration by arm, p99", "s", ((quantile(0.99, ARMS), "v{{version}} {{arm}}"),)),
        Panel("Requests by protocol", "reqps", ((rate("flywheel_requests_total", "protocol"), "{{protocol}}"),)),
        Panel("Refusals by rule", "reqps", ((rate("flywheel_refusals_total", "rule"), "{{rule}}"),)),
        Panel("Rows in a call of the model, mean", "short", ((mean("flywheel_batch_rows", BOTH), SERVED),)),
        Panel("Time of a call of the model, mean", "s", ((mean("flywheel_scoring_seconds", BOTH), SERVED),)),
        Panel(
            "Answers are moved by, log-odds", "short", ((f"flywheel_recalibration_shift{{{SCOPE}}}", "{{instance}}"),)
        ),
        Panel("Event loop's lag", "s", ((f"flywheel_event_loop_lag_seconds{{{SCOPE}}}", "{{instance}}"),)),
        Panel("CPU of agents", "percentunit", (('rate(process_cpu_seconds_total{job="agent"}[5m])', "{{instance}}"),)),
    ),
    ("use_case", "version"),
)
CASE = 'use_case=~"$use_case"'
TABLE, TABLES = "use_case, table", "{{use_case}} {{table}}"
LOG = Dashboard(
    "flywheel-log",
    "Flywheel: prediction log",
    (
        Panel(
            "Age of the oldest record not in the log", "s", ((f"flywheel_log_lag_seconds{{{CASE}}}", "{{use_case}}"),)
        ),
        Panel("Bytes not in the log", "bytes", ((f"flywheel_log_backlog_bytes{{{CASE}}}", "{{use_case}}"),)),
        Panel("Bytes in spools", "bytes", ((f"flywheel_log_spooled_bytes{{{CASE}}}", "{{use_case}}"),)),
        Panel(
            "Disk space left", "bytes", ((f"min by (use_case) (flywheel_disk_free_bytes{{{CASE}}})", "{{use_case}}"),)
        ),
        Panel("Answers without a record", "short", ((rate("flywheel_unlogged_answers_total", BOTH, CASE), SERVED),)),
        Panel(
            "Looks at the log that failed",
            "short",
            ((rate("flywheel_exporter_faults_total", "use_case", CASE), "{{use_case}}"),),
        ),
        Panel("Lines set aside", "short", ((f"flywheel_log_quarantined_lines{{{CASE}}}", "{{use_case}}"),)),
        Panel("Rows shipped", "rowsps", ((rate("flywheel_shipper_records_total", TABLE, CASE), TABLES),)),
        Panel("Bytes shipped", "Bps", ((rate("flywheel_shipper_bytes_total", TABLE, CASE), TABLES),)),
        Panel("Commits", "ops", ((rate("flywheel_shipper_commits_total", TABLE, CASE), TABLES),)),
        Panel("Time of a commit, mean", "s", ((mean("flywheel_shipper_commit_seconds", "table", ""), "{{table}}"),)),
        Panel("Failures of the store", "ops", ((rate("flywheel_shipper_failures_total", TABLE, CASE), TABLES),)),
        Panel("Since the last commit", "s", (("time() - flywheel_shipper_last_commit_timestamp_seconds", "ago"),)),
    ),
    ("use_case",),
)
CLUSTER = "{{envoy_cluster_name}}"
GATEWAY = Dashboard(
    "flywheel-gateway",
    "Flywheel: gateway",
    (
        Panel(
            "Requests by class of status",
            "reqps",
            (
                (
                    "sum by (envoy_response_code_class) (rate(envoy_http_downstream_rq_xx[5m]))",
                    "{{envoy_response_code_class}}xx",
                ),
            ),
        ),
        Panel("Open connections", "short", (("sum(envoy_http_downstream_cx_active)", "connections"),)),
        Panel("Requests in flight by cluster", "short", (("envoy_cluster_upstream_rq_active", CLUSTER),)),
        Panel("Retries by cluster", "reqps", (("rate(envoy_cluster_upstream_rq_retry[5m])", CLUSTER),)),
        Panel("Healthy replicas by cluster", "short", (("envoy_cluster_membership_healthy", CLUSTER),)),
        Panel("Memory", "bytes", (("envoy_server_memory_allocated", "allocated"),)),
        Panel(
            "Memory, of what it may take",
            "percent",
            (("envoy_overload_envoy_resource_monitors_fixed_heap_pressure", "heap"),),
        ),
        Panel(
            "Connections that were too many",
            "cps",
            (("sum(rate(envoy_listener_downstream_global_cx_overflow[5m]))", "closed"),),
        ),
    ),
)
DOOR = "flywheel_doorman_check_seconds"
STACK = Dashboard(
    "flywheel-stack",
    "Flywheel: stack",
    (
        Panel("Parts that answer", "bool", (("flywheel_dependency_up", "{{name}}"),)),
        Panel("Time until a part answers", "s", (("flywheel_dependency_probe_seconds", "{{name}}"),)),
        Panel("Programs that run", "bool", (("flywheel_program_running", "{{program}}"),)),
        Panel("Restarts in 15 minutes", "short", (("increase(flywheel_program_restarts_total[15m])", "{{program}}"),)),
        Panel(
            "Passes of the controller", "ops", ((rate("flywheel_controller_passes_total", "result", ""), "{{result}}"),)
        ),
        Panel("Since the last pass", "s", (("time() - flywheel_controller_last_pass_timestamp_seconds", "ago"),)),
        Panel("Time of a pass", "s", (("flywheel_controller_last_pass_seconds", "last"),)),
        Panel(
            "Decisions in an hour",
            "short",
            (("sum by (event) (increase(flywheel_controller_decisions_total[1h]))", "{{event}}"),),
        ),
        Panel("Checks at the door", "reqps", ((rate("flywheel_doorman_checks_total", "result", ""), "{{result}}"),)),
        Panel(
            "Time of a check, p99", "s", ((f"histogram_quantile(0.99, sum by (le) (rate({DOOR}_bucket[5m])))", "p99"),)
        ),
        Panel("Tokens that are known", "short", (("flywheel_doorman_tokens", "tokens"),)),
        Panel("Age of the tokens", "s", (("time() - flywheel_doorman_trail_read_timestamp_seconds", "age"),)),
        Panel("GPU's work", "percentunit", (("flywheel_gpu_utilization_ratio", "{{instance}} {{gpu}}"),)),
        Panel("GPU's memory", "bytes", (("flywheel_gpu_memory_used_bytes", "{{instance}} {{gpu}}"),)),
        Panel("Days until a certificate ends", "d", (("envoy_server_days_until_first_cert_expiring", "days"),)),
        Panel("Silence of programs", "s", (("time() - flywheel_textfile_mtime_seconds", "{{program}}"),)),
    ),
)
EACH = "{{use_case}}"


def told(name: str) -> str:
    """Return the query for a figure of monitoring."""
    return f"flywheel_monitor_{name}{{{CASE}}}"


LOSSES = (
    (told("loss"), f"{EACH} realised"),
    (told("loss_estimated"), f"{EACH} estimated"),
    (told("loss_reference"), f"{EACH} reference"),
    (f"{told('loss_reference')} + {told('loss_margin')}", f"{EACH} tolerated"),
)
SINCE_LOOK = f"time() - {told('last_look_timestamp_seconds')}"
DRIFT = f"{told('drift_evidence')} / {told('drift_threshold')}"
CONCEPT = f"{told('concept_evidence')} / {told('concept_threshold')}"
MODELS = Dashboard(
    "flywheel-models",
    "Flywheel: models, as monitoring sees them",
    (
        Panel("Loss of the newest window", "short", LOSSES),
        Panel("Area under the ROC curve", "short", ((told("roc_auc"), EACH),)),
        Panel("Evidence for drift, of what is an alarm", "percentunit", ((DRIFT, EACH),)),
        Panel("Evidence that the loss has changed, of what is an alarm", "percentunit", ((CONCEPT, EACH),)),
        Panel("Alerts that are open", "short", ((told("alerts"), f"{EACH} {{{{severity}}}}"),)),
        Panel("Cost of a decision", "short", ((told("cost"), EACH),)),
        Panel("Predictions in the newest window", "short", ((told("answered"), EACH),)),
        Panel("Share with an outcome", "percentunit", ((f"{told('labelled')} / {told('answered')}", EACH),)),
        Panel("Share whose outcome is overdue", "percentunit", ((f"{told('censored')} / {told('answered')}", EACH),)),
        Panel("Retrainings that the month's budget has left", "short", ((told("retrainings_left"), EACH),)),
        Panel("Since the last look", "s", ((SINCE_LOOK, EACH),)),
    ),
    ("use_case",),
)
FAILING = "use_case_version:flywheel_errors:ratio5m"
ONE_VIEW = Dashboard(
    "flywheel-overview",
    "Flywheel: infrastructure, models and business",
    (
        Panel("Requests", "reqps", ((rate("flywheel_requests_total", "use_case", CASE), EACH),)),
        Panel(
            "Share of requests that fail",
            "percentunit",
            ((f"use_case_version:flywheel_errors:ratio5m{{{CASE}}}", SERVED),),
        ),
        Panel("Duration, p99", "s", ((quantile(0.99, "use_case", CASE), EACH),)),
        Panel("Parts of the stack that answer", "bool", (("flywheel_dependency_up", "{{name}}"),)),
        Panel("CPU of agents", "percentunit", (('rate(process_cpu_seconds_total{job="agent"}[5m])', "{{instance}}"),)),
        Panel("Memory of agents", "bytes", (('process_resident_memory_bytes{job="agent"}', "{{instance}}"),)),
        Panel("GPU's work", "percentunit", (("flywheel_gpu_utilization_ratio", "{{instance}} {{gpu}}"),)),
        Panel("Age of the oldest record not in the log", "s", ((f"flywheel_log_lag_seconds{{{CASE}}}", EACH),)),
        Panel("Loss of the newest window", "short", LOSSES),
        Panel("Evidence for drift, of what is an alarm", "percentunit", ((DRIFT, EACH),)),
        Panel("Alerts that are open", "short", ((told("alerts"), f"{EACH} {{{{severity}}}}"),)),
        Panel("Cost of a decision", "short", ((told("cost"), EACH),)),
    ),
    ("use_case",),
)
DASHBOARDS = (ONE_VIEW, OVERVIEW, MODELS, VERSION, LOG, GATEWAY, STACK)


def document(dashboard: Dashboard) -> dict[str, Any]:
    """Return Grafana's JSON model of a dashboard."""
    panels = [_panel(panel, number) for number, panel in enumerate(dashboard.panels)]
    source = {"name": "source", "label": "Source", "type": "datasource", "query": "prometheus"}
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["flywheel"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source, *(_choice(name) for name in dashboard.choices)]},
        "panels": panels,
    }


def _panel(panel: Panel, number: int) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend}
        for index, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": {"x": number % 2 * WIDTH, "y": number // 2 * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"tooltip": {"mode": "multi"}, "legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": targets,
    }


def _choice(label: str) -> dict[str, Any]:
    query = f"label_values(flywheel_ready, {label})"
    return {
        "name": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": label},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
    }


def write(folder: Path, dashboards: Sequence[Dashboard] = DASHBOARDS) -> None:
    """Write each dashboard into its file."""
    for dashboard in dashboards:
        (folder / f"{dashboard.uid}.json").write_text(json.dumps(document(dashboard), indent=1) + "\n")


if __name__ == "__main__":
    write(FOLDER)
    sys.exit(0)
