"""The line of a request that went wrong: what it holds, and what it never holds."""

from structlog.testing import capture_logs

from deploy.agent.telemetry.access_log import BURST, AccessLog

HEADERS = {
    b"x-request-id": b"r-1",
    b"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"authorization": b"Bearer secret",
}


def test_a_refused_request_gets_a_line_that_names_it_and_keeps_secrets() -> None:
    with capture_logs() as lines:
        access_log = AccessLog("flights", "3")
        access_log.answered(HEADERS, "mlflow", 422, arm="champion", rule="range", seconds=0.002)
        access_log.answered(HEADERS, "mlflow", 200, arm="champion", rule=None, seconds=0.002)
        access_log.answered(HEADERS, "v2", 200, arm=None, rule=None, seconds=3.0)
    assert [line["event"] for line in lines] == ["request refused", "request slow"]
    assert lines[0] == {
        "event": "request refused",
        "log_level": "warning",
        "use_case": "flights",
        "version": "3",
        "request_id": "r-1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "protocol": "mlflow",
        "arm": "champion",
        "status": 422,
        "rule": "range",
        "duration_ms": 2.0,
        "left_out": 0,
    }


def test_a_flood_writes_a_bounded_number_of_lines_and_tells_how_many_it_left_out() -> None:
    now = 100.0
    with capture_logs() as lines:
        access_log = AccessLog("flights", "3", clock=lambda: now)
        for _ in range(10_000):
            access_log.answered({}, "mlflow", 400, arm=None, rule="json", seconds=0.001)
        assert len(lines) == BURST
        now += 1
        access_log.answered({}, "mlflow", 400, arm=None, rule="json", seconds=0.001)
    assert lines[-1]["left_out"] == 10_000 - BURST


def test_headers_that_are_no_text_do_no_harm() -> None:
    with capture_logs() as lines:
        access_log = AccessLog("flights", "3")
        bad = {b"x-request-id": b"\xff\n", b"traceparent": b"00-\xff" + b"a" * 31 + b"-b-01"}
        access_log.answered(bad, "mlflow", 500, arm=None, rule=None, seconds=0.001)
    assert (lines[0]["event"], lines[0]["request_id"], lines[0]["trace_id"]) == ("request failed", None, None)
