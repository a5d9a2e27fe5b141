"""Ports: free, remembered, and refused with a sentence when they cannot be had."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from flywheel.errors import StackError, UsageError
from flywheel.settings import Settings
from flywheel.stack.ports import Ports, choose_ports, free_port, is_free, remember_ports, remembered_ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_all_ports_differ_and_are_free(tmp_path: Path) -> None:
    ports = choose_ports(Settings(home=tmp_path))
    values = list(ports.model_dump().values())
    assert len(set(values)) == len(Ports.model_fields)
    assert all(is_free(port) for port in values)


def test_the_next_start_takes_the_same_ports_but_not_one_that_somebody_else_has_by_now(
    tmp_path: Path, taken: int
) -> None:
    settings = Settings(home=tmp_path)
    first = choose_ports(settings).model_copy(update={"s3": taken})
    remember_ports(settings, first)
    again = choose_ports(settings)
    assert again.s3 != taken
    assert again.model_dump(exclude={"s3"}) == first.model_dump(exclude={"s3"})
    assert remembered_ports(settings) == first


def test_choosing_writes_nothing(tmp_path: Path) -> None:
    choose_ports(Settings(home=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_was_asked_for_is_taken_or_refused(tmp_path: Path, taken: int) -> None:
    port = free_port()
    assert choose_ports(Settings(home=tmp_path, mlflow_port=port)).mlflow == port
    with pytest.raises(StackError, match=rf"Port {taken} \(FLYWHEEL_GATEWAY_PORT\) is in use by another program"):
        choose_ports(Settings(home=tmp_path, gateway_port=taken))


def test_an_asked_port_wins_over_a_remembered_one(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    ports = choose_ports(settings)
    remember_ports(settings, ports)
    chosen = choose_ports(Settings(home=tmp_path, mlflow_port=ports.s3))
    assert chosen.mlflow == ports.s3
    assert chosen.s3 != ports.s3


@pytest.mark.parametrize("port", [0, -1, 70000])
def test_what_is_no_port_is_wrong_use(tmp_path: Path, port: int) -> None:
    with pytest.raises(UsageError, match="which is no port"):
        choose_ports(Settings(home=tmp_path, mlflow_port=port))


def test_one_port_for_two_parts_is_wrong_use(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(UsageError, match=f"both {port}"):
        choose_ports(Settings(home=tmp_path, mlflow_port=port, gateway_port=port))


def test_damaged_memory_is_forgotten(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "ports.json").write_text("[1, 2")
    assert remembered_ports(settings) is None
    assert choose_ports(settings).mlflow > 0


def test_the_port_of_a_stack_that_may_still_run_can_be_asked_for_again(tmp_path: Path) -> None:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        own.listen()
        port = own.getsockname()[1]
        settings = Settings(home=tmp_path, gateway_port=port)
        remember_ports(settings, choose_ports(Settings(home=tmp_path)).model_copy(update={"gateway": port}))
        choose_ports(settings, running=True)  # is not refused
        with pytest.raises(StackError, match="in use by another program"):
            choose_ports(settings)
