import json
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.gateway.routes import (
    BARE_PATHS,
    Backend,
    Replica,
    Split,
    cluster_document,
    fallback_cluster,
    read_splits,
    route_document,
    validate,
    write_document,
)
from flywheel.serving import Serving, Sticky, UseCaseServing

CHAMPION, CHALLENGER = Backend("flights-delay", "1", (Replica(4001),)), Backend("flights-delay", "2", (Replica(4002),))
OTHER = Backend("seattle-rain", "1", (Replica(4003),))
ROLLOUT = Split(CHAMPION, CHALLENGER, 10, "flights-delay-v2-abc-1")


def routes_of(*splits: Split) -> list[dict]:  # type: ignore[type-arg]
    found: list[dict] = route_document(splits)["resources"][0]["virtual_hosts"][0]["routes"]  # type: ignore[type-arg]
    return [route for route in found if "route" in route]


@given(st.integers(0, 99))
def test_weights_are_a_hundred_in_all_and_the_champion_stands_first(percent: int) -> None:
    split = Split(CHAMPION, CHALLENGER, percent, "rollout")
    rows = routes_of(split)[0]["route"]["weighted_clusters"]["clusters"]
    assert sum(row["weight"] for row in rows) == 100
    assert sum(split.weights.values()) == 100
    assert rows[0]["name"] == "flights-delay-v1"


def test_each_arm_says_which_it_is_and_in_which_rollout() -> None:
    rows = routes_of(ROLLOUT)[0]["route"]["weighted_clusters"]["clusters"]
    headers = [{one["header"]["key"]: one["header"]["value"] for one in row["request_headers_to_add"]} for row in rows]
    assert headers == [
        {"x-flywheel-arm": "champion", "x-flywheel-rollout": "flights-delay-v2-abc-1"},
        {"x-flywheel-arm": "challenger", "x-flywheel-rollout": "flights-delay-v2-abc-1"},
    ]


def test_outside_a_rollout_nobody_can_claim_an_arm() -> None:
    row = routes_of(Split(CHAMPION))[0]["route"]["weighted_clusters"]["clusters"][0]
    assert row["request_headers_to_remove"] == ["x-flywheel-arm", "x-flywheel-rollout"]


def test_only_a_sole_use_case_answers_at_bare_paths() -> None:
    assert BARE_PATHS in [route["match"]["safe_regex"]["regex"] for route in routes_of(Split(CHAMPION))]
    both = routes_of(Split(CHAMPION), Split(OTHER))
    assert BARE_PATHS not in [route["match"]["safe_regex"]["regex"] for route in both]
    assert [route["name"] for route in both] == ["flights-delay"] * 2 + ["seattle-rain"] * 2


def test_the_same_challenger_has_one_fallback_cluster_while_its_share_changes() -> None:
    document = cluster_document([CHAMPION, CHALLENGER], [ROLLOUT, Split(CHAMPION, CHALLENGER, 50, ROLLOUT.rollout)])
    names = [one["name"] for one in document["resources"]]
    assert names == ["flights-delay-v1", "flights-delay-v2", fallback_cluster(CHALLENGER)]


def test_the_route_file_remembers_its_splits(tmp_path: Path) -> None:
    file = tmp_path / "rds.json"
    assert read_splits(file) == {}
    assert write_document(file, route_document([ROLLOUT, Split(OTHER)]))
    assert read_splits(file) == {"flights-delay": ROLLOUT, "seattle-rain": Split(OTHER)}
    file.write_text('{"version_info": "0", "resources": []}')
    assert read_splits(file) == {}


def test_an_equal_document_is_not_written_again_and_has_the_same_version(tmp_path: Path) -> None:
    file = tmp_path / "rds.json"
    assert write_document(file, route_document([ROLLOUT]))
    before = file.stat().st_ino
    assert not write_document(file, route_document([ROLLOUT]))
    assert file.stat().st_ino == before
    assert json.loads(file.read_text())["version_info"] == route_document([ROLLOUT])["version_info"]
    assert not list(tmp_path.glob("*.new"))


@settings(max_examples=24, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 99), st.integers(1, 3), st.booleans(), st.booleans(), st.sampled_from([None, "r-1"])),
        max_size=4,
    ),
    st.sampled_from([0.0, 0.01, 12.5, 100.0]),
    st.sampled_from([None, "flywheel-caller"]),
)
def test_every_split_is_taken_by_envoy_and_read_back_as_it_was(
    drawn: list[tuple[int, int, bool, bool, str | None]], mirror: float, cookie: str | None
) -> None:
    splits = []
    for number, (percent, replicas, canary, grpc, rollout) in enumerate(drawn):
        name, ports = (
            f"case.{number}" + "-x" * (28 * (number % 2)),
            [Replica(4000 + one, 5000 + one if grpc else 0) for one in range(replicas)],
        )
        other = Backend(name, "2", tuple(ports)) if canary else None
        splits.append(Split(Backend(name, "1", tuple(ports)), other, percent if canary else 0, rollout))
    serving = Serving(defaults=UseCaseServing(mirror_percent=mirror, sticky=Sticky(cookie=cookie)))
    backends = [one for split in splits for one in (split.champion, split.challenger) if one]
    routes = route_document(splits, serving)
    validate(cluster_document(backends, splits, serving), routes)
    for route in routes["resources"][0]["virtual_hosts"][0]["routes"]:
        if "route" in route:
            assert sum(one["weight"] for one in route["route"]["weighted_clusters"]["clusters"]) == 100
    with TemporaryDirectory() as folder:
        file = Path(folder) / "rds.json"
        file.write_text(json.dumps(routes))
        assert read_splits(file) == {split.usecase: split for split in splits}
