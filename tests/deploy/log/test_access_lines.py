"""Lines of the gateway's access log, of today and of before."""

import orjson
import pytest

from deploy.log.access_lines import parse_request
from flywheel.records import REQUESTS

OLD = {"time": "2026-01-01T00:00:00.000Z", "request_id": "r1", "route": "tiny", "code": 200, "attempts": 1}


def test_a_line_of_before_has_neither_rollout_nor_arm_nor_unit() -> None:
    row = parse_request(orjson.dumps(OLD))
    assert row is not None
    assert list(row) == REQUESTS.names
    assert [row[name] for name in ("rollout", "arm", "unit", "grpc_status")] == [None] * 4


@pytest.mark.parametrize(("told", "kept"), [(14, 14), (None, None), ("14", None), (-1, None), (2.5, None)])
def test_a_line_says_rollout_arm_unit_and_the_status_of_grpc_where_it_is_one(told: object, kept: int | None) -> None:
    given = OLD | {"rollout": "tiny-2", "arm": "challenger", "unit": "ada", "grpc_status": told}
    row = parse_request(orjson.dumps(given))
    assert row is not None
    assert [row[name] for name in ("rollout", "arm", "unit", "grpc_status")] == ["tiny-2", "challenger", "ada", kept]
