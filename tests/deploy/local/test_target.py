"""Parts of the local target that need no stack: bytes on the disk, and which traffic is safe to route."""

from pathlib import Path

import pytest

from deploy.desired import Served
from deploy.gateway.traffic import Backend, Replica, Split
from deploy.local.places import Agent, Role, Worker, program_name
from deploy.local.programs import Version, agent_program, worker_program
from deploy.local.routing import safe_split
from deploy.packages import Packages
from flywheel.digest import folder_digest
from flywheel.errors import IntegrityError
from flywheel.serving import Observability, UseCaseServing
from flywheel.settings import Settings

ONE, TWO = Backend("flights", "1", (Replica(4001),)), Backend("flights", "2", (Replica(4002),))


def model(folder: Path, content: str = "weights") -> Path:
    folder.mkdir(parents=True)
    (folder / "MLmodel").write_text(content)
    return folder


def packages(root: Path, content: str = "weights") -> Packages:
    return Packages(root, lambda usecase, version, folder: model(folder, content))


def test_a_package_is_fetched_once_and_stands_under_its_digest(tmp_path: Path) -> None:
    served = Served("flights", "1", folder_digest(model(tmp_path / "approved")))
    place = packages(tmp_path / "packages").fetch(served)
    assert place.name == f"1-{served.digest.removeprefix('sha256:')[:12]}"
    assert Packages(tmp_path / "packages", _unreachable).fetch(served) == place


def test_other_bytes_than_the_approved_ones_are_refused_and_removed(tmp_path: Path) -> None:
    served = Served("flights", "1", folder_digest(model(tmp_path / "approved")))
    with pytest.raises(IntegrityError, match="is not what was approved"):
        packages(tmp_path / "packages", "changed").fetch(served)
    assert list((tmp_path / "packages" / "flights").iterdir()) == []


def test_bytes_that_changed_on_the_disk_are_refused_too(tmp_path: Path) -> None:
    served = Served("flights", "1", folder_digest(model(tmp_path / "approved")))
    place = packages(tmp_path / "packages").fetch(served)
    (place / "MLmodel").write_text("changed")
    with pytest.raises(IntegrityError, match="is not what was approved"):
        packages(tmp_path / "packages").fetch(served)
    assert not place.exists()


@pytest.mark.parametrize(
    ("wanted", "routed", "healthy", "expected"),
    [
        (Split(ONE), None, set(), None),
        (Split(ONE), None, {"flights-v1"}, Split(ONE)),
        (Split(ONE, ((TWO, 10),)), Split(ONE), {"flights-v1"}, Split(ONE)),
        (Split(ONE, ((TWO, 10),)), Split(ONE), {"flights-v2"}, Split(ONE, ((TWO, 10),))),
        (Split(ONE, ((TWO, 10),)), None, {"flights-v1"}, Split(ONE)),
        (Split(TWO), Split(ONE, ((TWO, 50),)), set(), Split(TWO)),
        (Split(ONE), Split(ONE, ((TWO, 50),)), set(), Split(ONE)),
    ],
)
def test_only_what_is_new_must_be_healthy(
    wanted: Split, routed: Split | None, healthy: set[str], expected: Split | None
) -> None:
    assert safe_split(wanted, routed, healthy) == expected


def test_programs_are_named_after_use_case_and_version_and_further_ones_by_their_number() -> None:
    served = Served("flights", "3", "d")
    assert program_name("scorer", served) == "scorer-flights-v3"
    assert program_name("agent", served, 2) == "agent-flights-v3-2"


def test_a_worker_has_one_thread_that_never_spins_and_leaves_its_package_alone(tmp_path: Path) -> None:
    worker = worker_program(Served("flights", "3", "sha256:d"), Worker(1, 4002), tmp_path / "package")
    wanted = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONDONTWRITEBYTECODE": "1"}
    assert worker.environment == wanted


def test_an_agent_is_told_all_workers_its_ports_and_its_part_of_serving_yaml(tmp_path: Path) -> None:
    serving = UseCaseServing(unknown_fields="ignore", replicas=2)
    version = Version(
        Served("flights", "3", "sha256:d"), tmp_path / "package", "mlflow", (4002, 4003), serving, Observability()
    )
    agent = agent_program(Settings(home=tmp_path), version, Agent(2, 4004, 4005, version.spec, Role.COMING))
    told = dict(zip(agent.command[3::2], agent.command[4::2], strict=True))
    assert told["--scorer"] == "http://127.0.0.1:4002,http://127.0.0.1:4003"
    assert (told["--port"], told["--grpc-port"], told["--backend"]) == ("4004", "4005", "mlflow")
    assert UseCaseServing.model_validate_json(told["--serving"]).unknown_fields == "ignore"
    assert agent.stop_seconds > serving.deadline_seconds
    assert agent.address == "http://127.0.0.1:4004 (mlflow)"  # what `flywheel status` shows


def test_an_agent_is_told_of_a_collector_and_replaced_when_that_changes(tmp_path: Path) -> None:
    def version(observability: Observability) -> Version:
        return Version(Served("flights", "3", "d"), tmp_path, "onnx", (), UseCaseServing(), observability)

    def command(observability: Observability) -> list[str]:
        one = version(observability)
        return agent_program(Settings(home=tmp_path), one, Agent(1, 4004, 4005, one.spec, Role.COMING)).command

    assert "--otlp" not in command(Observability(sample_percent=5))
    told = command(Observability(otlp="http://collector:4318", sample_percent=0.5))
    assert told[told.index("--otlp") :][:4] == ["--otlp", "http://collector:4318", "--trace-percent", "0.5"]
    assert version(Observability(sample_percent=5)).spec == version(Observability()).spec
    traced = [Observability(otlp="http://collector:4318", sample_percent=percent) for percent in (1, 5)]
    assert len({version(one).spec for one in (*traced, Observability())}) == 3


def test_what_only_the_gateway_reads_replaces_no_agent(tmp_path: Path) -> None:
    def spec(serving: UseCaseServing) -> str:
        return Version(Served("flights", "3", "d"), tmp_path, "onnx", (), serving, Observability()).spec

    assert spec(UseCaseServing(mirror_percent=5, replicas=3)) == spec(UseCaseServing())
    assert spec(UseCaseServing(deadline_seconds=2)) != spec(UseCaseServing())


def _unreachable(usecase: str, version: str, folder: Path) -> Path:
    raise AssertionError(f"{usecase} {version} {folder} was fetched again")
