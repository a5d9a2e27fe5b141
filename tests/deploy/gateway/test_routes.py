import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.gateway.clusters import cluster_document
from deploy.gateway.documents import validate, write_document
from deploy.gateway.remembered import read_splits
from deploy.gateway.routes import route_document
from deploy.gateway.traffic import Backend, Replica, Split
from deploy.gateway.where import BARE_PATHS
from flywheel.serving import GatewayServing, Serving, Sticky, UseCaseServing

CHAMPION, CHALLENGER = Backend("flights-delay", "1", (Replica(4001),)), Backend("flights-delay", "2", (Replica(4002),))
OTHER = Backend("seattle-rain", "1", (Replica(4003),))
ROLLOUT = Split(CHAMPION, ((CHALLENGER, 10),), "flights-delay-v2-abc-1")


def routes_of(*splits: Split) -> list[dict]:  # type: ignore[type-arg]
    found: list[dict] = route_document(splits)["resources"][0]["virtual_hosts"][0]["routes"]  # type: ignore[type-arg]
    return [route for route in found if "weighted_clusters" in route.get("route", {})]


@given(st.integers(0, 99))
def test_weights_are_a_hundred_in_all_and_the_champion_stands_first(percent: int) -> None:
    split = Split(CHAMPION, ((CHALLENGER, percent),), "rollout")
    rows = routes_of(split)[0]["route"]["weighted_clusters"]["clusters"]
    assert sum(row["weight"] for row in rows) == 100
    assert sum(split.weights.values()) == 100
    assert rows[0]["name"] == "flights-delay-v1-champion"


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


def test_each_arm_has_one_cluster_while_its_share_changes() -> None:
    later = replace(ROLLOUT, challengers=((CHALLENGER, 50),))
    document = cluster_document([CHAMPION, CHALLENGER], [ROLLOUT, later])
    names = [one["name"].removeprefix("flights-delay-") for one in document["resources"]]
    versions = ["v1", "v1-forced", "v2", "v2-forced", "v2-shadow"]
    arms = ["v1-champion", "v1-else-v2-champion", "v2-champion", "v2-else-v1-champion", "v2-or-champion"]
    assert names == [*versions, *arms]


def test_neither_promotion_nor_going_back_waits_for_new_clusters() -> None:
    backends = [CHAMPION, CHALLENGER]
    present = cluster_document(backends, [ROLLOUT])
    for wanted in (Split(CHALLENGER), Split(CHALLENGER, previous=CHAMPION), Split(CHAMPION)):
        assert cluster_document(backends, [ROLLOUT, wanted]) == present
    assert cluster_document(backends, [Split(CHAMPION)]) == cluster_document(backends, [Split(CHALLENGER)])


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


def test_a_route_file_of_the_release_with_one_challenger_is_still_read(tmp_path: Path) -> None:
    document = json.loads(json.dumps(route_document([ROLLOUT, Split(OTHER)])))
    for route in document["resources"][0]["virtual_hosts"][0]["routes"]:
        if "metadata" in route:
            split = route["metadata"]["filter_metadata"]["flywheel"]["split"]
            first = split["challengers"][0] if split["challengers"] else [None, 0]
            for new in ("challengers", "mirror_percent", "previous", "default"):
                del split[new]
            split |= {"challenger": first[0], "percent": first[1]}
    (tmp_path / "rds.json").write_text(json.dumps(document))
    assert read_splits(tmp_path / "rds.json") == {"flights-delay": ROLLOUT, "seattle-rain": Split(OTHER)}


@st.composite
def splits_of(draw: st.DrawFn, usecase: str) -> Split:
    grpc, percents = draw(st.booleans()), draw(percents_of_challengers)

    def backend(version: str) -> Backend:
        count = draw(st.integers(1, 3))
        return Backend(usecase, version, tuple(Replica(4000 + one, 5000 + one if grpc else 0) for one in range(count)))

    challengers = tuple((backend(str(number)), percent) for number, percent in enumerate(percents, start=2))
    return Split(
        backend("1"),
        challengers,
        draw(st.sampled_from([None, "r-1"])),
        draw(st.sampled_from([0.0, 12.5, 100.0])),
        backend("0") if draw(st.booleans()) else None,
        backend("default") if draw(st.booleans()) else None,
    )


percents_of_challengers = st.lists(st.integers(0, 33), max_size=3)


@settings(max_examples=24, deadline=None)
@given(
    st.lists(st.booleans(), max_size=3).flatmap(
        lambda longs: st.tuples(
            *(splits_of(f"case.{number}" + "-x" * (28 * long)) for number, long in enumerate(longs))
        )
    ),
    st.sampled_from([0.0, 0.01, 12.5, 100.0]),
    st.sampled_from([None, "flywheel-caller"]),
    st.booleans(),
)
def test_every_split_is_taken_by_envoy_and_read_back_as_it_was(
    splits: tuple[Split, ...], mirror: float, cookie: str | None, forced: bool
) -> None:
    serving = Serving(
        defaults=UseCaseServing(mirror_percent=mirror, sticky=Sticky(cookie=cookie)),
        gateway=GatewayServing(forced_arm=forced),
    )
    routes = route_document(splits, serving)
    clusters = cluster_document([one for split in splits for one in split.backends], splits, serving)
    validate(clusters, routes)
    names = {one["name"] for one in clusters["resources"]}
    for route in routes["resources"][0]["virtual_hosts"][0]["routes"]:
        if "weighted_clusters" in route.get("route", {}):
            rows = route["route"]["weighted_clusters"]["clusters"]
            assert sum(one["weight"] for one in rows) == 100
            assert {one["name"] for one in rows} <= names
        elif "route" in route:
            assert route["route"]["cluster"] in names
    with TemporaryDirectory() as folder:
        file = Path(folder) / "rds.json"
        file.write_text(json.dumps(routes))
        assert read_splits(file) == {split.usecase: split for split in splits}
