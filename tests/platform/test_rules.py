"""Each alert rings where it must and is quiet where it must be: asked of promtool, which is Prometheus itself."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "platform" / "prometheus"
RULES = PROMETHEUS / "rules" / "flywheel.yml"
KNOWN = 'use_case="a",version="1"'

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not on PATH (Debian: apt-get install prometheus)"
)

# Alert: series at which it rings after two hours, and series at which it does not; one point a minute.
CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "FlywheelErrorsFast": (
        {
            f'flywheel_requests_total{{{KNOWN},status="200"}}': "0+90x120",
            f'flywheel_requests_total{{{KNOWN},status="503"}}': "0+10x120",
        },
        {
            f'flywheel_requests_total{{{KNOWN},status="200"}}': "0+90x120",
            f'flywheel_requests_total{{{KNOWN},status="422"}}': "0+10x120",  # the caller's fault
        },
    ),
    "FlywheelErrorsSlow": (
        {
            f'flywheel_requests_total{{{KNOWN},status="200"}}': "0+990x120",
            f'flywheel_requests_total{{{KNOWN},status="500"}}': "0+10x120",
        },
        {
            f'flywheel_requests_total{{{KNOWN},status="200"}}': "0+9990x120",
            f'flywheel_requests_total{{{KNOWN},status="500"}}': "0+5x120",
        },
    ),
    "FlywheelLatency": (
        {
            f'flywheel_request_seconds_bucket{{{KNOWN},le="0.25"}}': "0+95x120",
            f"flywheel_request_seconds_count{{{KNOWN}}}": "0+100x120",
        },
        {
            f'flywheel_request_seconds_bucket{{{KNOWN},le="0.25"}}': "0+995x120",
            f"flywheel_request_seconds_count{{{KNOWN}}}": "0+1000x120",
        },
    ),
    "FlywheelAgentDown": ({'up{job="agent"}': "1x100 0x20"}, {'up{job="agent"}': "0x100 1x20"}),
    "FlywheelNotReady": ({f"flywheel_ready{{{KNOWN}}}": "0x120"}, {f"flywheel_ready{{{KNOWN}}}": "0x110 1x10"}),
    "FlywheelQueueFull": (
        {f'flywheel_requests_total{{{KNOWN},status="429"}}': "0+5x120"},
        {
            f'flywheel_requests_total{{{KNOWN},status="200"}}': "0+1000x120",
            f'flywheel_requests_total{{{KNOWN},status="429"}}': "0+5x120",
        },
    ),
    "FlywheelNoTraffic": (
        {f"flywheel_requests_total{{{KNOWN}}}": "0+100x80 8000x40"},
        {f"flywheel_requests_total{{{KNOWN}}}": "0+100x120"},
    ),
    "FlywheelLogLag": (
        {'flywheel_log_lag_seconds{use_case="a"}': "0+60x120"},
        {'flywheel_log_lag_seconds{use_case="a"}': "120x120"},
    ),
    "FlywheelLogUnknown": (
        {'flywheel_exporter_faults_total{use_case="a"}': "0+1x120"},
        {'flywheel_exporter_faults_total{use_case="a"}': "0+1x60 60x60"},
    ),
    "FlywheelUnloggedAnswers": (
        {f"flywheel_unlogged_answers_total{{{KNOWN}}}": "0x118 5 9"},
        {f"flywheel_unlogged_answers_total{{{KNOWN}}}": "5x120"},
    ),
    "FlywheelRecalibrationFades": (
        {f"flywheel_recalibration_weight{{{KNOWN}}}": "1x60 0.9x60"},
        {f"flywheel_recalibration_weight{{{KNOWN}}}": "0.5x60 0x60"},
    ),
    "FlywheelRecalibrationRefused": (
        {f"flywheel_recalibrations_refused_total{{{KNOWN}}}": "0x118 1 1"},
        {f"flywheel_recalibrations_refused_total{{{KNOWN}}}": "1x120"},
    ),
    "FlywheelSpoolNotWritable": (
        {f"flywheel_spool_writable{{{KNOWN}}}": "0x120"},
        {f"flywheel_spool_writable{{{KNOWN}}}": "1x120"},
    ),
    "FlywheelDiskFilling": (
        {f"flywheel_disk_free_bytes{{{KNOWN}}}": "18e9-1e8x120"},
        {f"flywheel_disk_free_bytes{{{KNOWN}}}": "18e9x120"},
    ),
    "FlywheelDependencyDown": (
        {'flywheel_dependency_up{name="mlflow"}': "0x120"},
        {'flywheel_dependency_up{name="mlflow"}': "0x110 1x9"},
    ),
    "FlywheelArmErrors": (
        {
            f'flywheel_requests_total{{{KNOWN},arm="shadow",status="200"}}': "0+90x120",
            f'flywheel_requests_total{{{KNOWN},arm="shadow",status="500"}}': "0+10x120",
        },
        {
            f'flywheel_requests_total{{{KNOWN},arm="shadow",status="200"}}': "0+99x120",
            f'flywheel_requests_total{{{KNOWN},arm="shadow",status="500"}}': "0+1x120",
        },
    ),
    "FlywheelWorkersDown": (
        {f"flywheel_workers_live{{{KNOWN}}}": "1x120", f"flywheel_workers{{{KNOWN}}}": "2x120"},
        {f"flywheel_workers_live{{{KNOWN}}}": "1x118 2 2", f"flywheel_workers{{{KNOWN}}}": "2x120"},
    ),
    "FlywheelConnectionsFull": (
        {f"flywheel_open_connections{{{KNOWN}}}": "0+200x120"},
        {f"flywheel_open_connections{{{KNOWN}}}": "10000x120"},
    ),
    "FlywheelShipperFailing": (
        {'flywheel_shipper_failures_total{use_case="a",table="requests"}': "0+1x120"},
        {'flywheel_shipper_failures_total{use_case="a",table="requests"}': "0+1x60 60x60"},
    ),
    "FlywheelLinesSetAside": (
        {'flywheel_log_quarantined_lines{use_case="a"}': "0x115 3x9"},
        {'flywheel_log_quarantined_lines{use_case="a"}': "3x120"},
    ),
    "FlywheelRestarts": (
        {'flywheel_program_restarts_total{program="agent-a-v1"}': "0x110 0+1x10"},
        {'flywheel_program_restarts_total{program="agent-a-v1"}': "0x110 1x10"},
    ),
    "FlywheelProgramDown": (
        {'flywheel_program_running{program="shipper"}': "1x100 0x20"},
        {'flywheel_program_running{program="shipper"}': "0x118 1 1"},
    ),
    "FlywheelProgramSilent": (
        {
            'flywheel_textfile_mtime_seconds{program="shipper"}': "3600x120",
            'flywheel_program_running{program="shipper"}': "1x120",
        },
        {
            'flywheel_textfile_mtime_seconds{program="shipper"}': "0+60x120",
            'flywheel_program_running{program="shipper"}': "1x120",
            # No program: a `flywheel deploy` that has ended.
            'flywheel_textfile_mtime_seconds{program="controller"}': "3600x120",
        },
    ),
    "FlywheelSupervisorDown": ({"flywheel_supervisor_up": "0x120"}, {"flywheel_supervisor_up": "0x110 1x9"}),
    "FlywheelExporterDown": (
        {'up{job="exporter"}': "1x120", "flywheel_exporter_last_look_timestamp_seconds": "3600x120"},
        {'up{job="exporter"}': "1x120", "flywheel_exporter_last_look_timestamp_seconds": "0+60x120"},
    ),
    "FlywheelControllerFailing": (
        {'flywheel_controller_passes_total{result="failed"}': "0+5x120"},
        {
            'flywheel_controller_passes_total{result="failed"}': "0+5x60 300x60",
            'flywheel_controller_passes_total{result="done"}': "0+5x120",
        },
    ),
    "FlywheelRolloutHeld": (
        {'flywheel_controller_decisions_total{event="rollout.held"}': "3x117 4x3"},
        {
            'flywheel_controller_decisions_total{event="rollout.held"}': "3x120",
            'flywheel_controller_decisions_total{event="rollout.step"}': "0+1x120",
        },
    ),
    "FlywheelVersionTurnedBad": (
        {'flywheel_controller_decisions_total{event="rollout.turned_bad"}': "3x117 4x3"},
        {
            'flywheel_controller_decisions_total{event="rollout.turned_bad"}': "3x120",
            'flywheel_controller_decisions_total{event="rollout.rolled_back"}': "0+1x120",
        },
    ),
    "FlywheelVersionWarned": (
        {'flywheel_controller_decisions_total{event="rollout.warned"}': "3x117 4x3"},
        {
            'flywheel_controller_decisions_total{event="rollout.warned"}': "3x120",
            'flywheel_controller_decisions_total{event="rollout.turned_bad"}': "0+1x120",
        },
    ),
    "FlywheelUnknownTokens": (
        {'flywheel_doorman_checks_total{result="unknown"}': "0+120x120"},
        {
            'flywheel_doorman_checks_total{result="unknown"}': "0+6x120",
            'flywheel_doorman_checks_total{result="allowed"}': "0+6000x120",
        },
    ),
    "FlywheelTokensOld": (
        {
            "flywheel_doorman_trail_read_timestamp_seconds": "60x120",
            'flywheel_program_running{program="doorman"}': "1x120",
        },
        {
            "flywheel_doorman_trail_read_timestamp_seconds": "60x120",  # of a doorman that is not needed any more
            'flywheel_program_running{program="shipper"}': "1x120",
        },
    ),
    "FlywheelMonitorStale": (
        {
            'flywheel_monitor_last_look_timestamp_seconds{use_case="a"}': "60x120",
            'flywheel_monitor_every_seconds{use_case="a"}': "1800x120",
        },
        {
            'flywheel_monitor_last_look_timestamp_seconds{use_case="a"}': "60x120",
            'flywheel_monitor_every_seconds{use_case="a"}': "86400x120",
        },
    ),
    "FlywheelModelHarm": (
        {'flywheel_monitor_alerts{use_case="a",severity="critical"}': "0x100 1x20"},
        {
            'flywheel_monitor_alerts{use_case="a",severity="critical"}': "0x120",
            'flywheel_monitor_alerts{use_case="a",severity="warning"}': "3x120",
        },
    ),
    "FlywheelGatewayDown": ({'up{job="gateway"}': "0x120"}, {'up{job="gateway"}': "1x120"}),
    "FlywheelGatewayMemory": (
        {"envoy_overload_envoy_resource_monitors_fixed_heap_pressure": "90x120"},
        {"envoy_overload_envoy_resource_monitors_fixed_heap_pressure": "80x120"},
    ),
    "FlywheelGatewayConnectionsFull": (
        {"envoy_listener_downstream_global_cx_overflow": "0+2x120"},
        {"envoy_listener_downstream_global_cx_overflow": "7x120"},
    ),
    "FlywheelCertificateExpiry": (
        {"envoy_server_days_until_first_cert_expiring": "7x120"},
        {"envoy_server_days_until_first_cert_expiring": "60x120"},
    ),
}


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, cwd=PROMETHEUS)


def asked(alert: str, series: dict[str, str], *, rings: bool) -> dict[str, Any]:
    expected = [{"labels": "{}", "value": 1}] if rings else []
    firing = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
    return {
        "interval": "1m",
        "name": f"{alert} {'rings' if rings else 'is quiet'}",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": firing, "eval_time": "119m", "exp_samples": expected}],
    }


@needs_promtool
def test_promtool_accepts_the_rules_and_their_own_tests_pass() -> None:
    for arguments in (("check", "rules", str(RULES)), ("test", "rules", "rules_test.yml")):
        done = promtool(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_each_alert_rings_in_its_case_and_is_quiet_in_the_other(tmp_path: Path) -> None:
    assert set(CASES) == {rule["alert"] for rule in alerts()}
    tests = []
    for alert, (ringing, quiet) in CASES.items():
        tests += [asked(alert, ringing, rings=True), asked(alert, quiet, rings=False)]
    file = tmp_path / "cases.json"  # JSON is YAML
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_accepts_the_configuration(tmp_path: Path) -> None:
    text = (PROMETHEUS / "prometheus.yml").read_text()
    (tmp_path / "rules").mkdir()
    shutil.copy(RULES, tmp_path / "rules")
    file = tmp_path / "prometheus.yml"
    file.write_text(text.replace("FLYWHEEL_HOME", str(tmp_path)))
    done = promtool("check", "config", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_says_what_to_do_and_leads_into_the_page() -> None:
    page = (ROOT / "docs" / "observability.md").read_text()
    for rule in alerts():
        said = rule["annotations"]
        assert said["summary"], rule["alert"]
        assert len(said["description"]) > 40, rule["alert"]
        assert said["runbook_url"] == f"docs/observability.md#{rule['alert'].lower()}"
        assert f"### {rule['alert']}\n" in page, rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
