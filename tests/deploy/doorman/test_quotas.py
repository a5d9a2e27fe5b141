"""Counts of a day: kept whoever is killed, and however many ask."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.doorman import quotas
from deploy.doorman.quotas import OTHERS, Quotas, step

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
FILE = "quotas.jsonl"


def test_a_killed_doorman_forgets_no_request_and_costs_a_client_at_most_a_step(tmp_path: Path) -> None:
    limit, clock = 1000, [NOW]
    first = Quotas(tmp_path / FILE, lambda: clock[0])
    made = sum(first.take("ada", limit) for _ in range(333))
    second = Quotas(tmp_path / FILE, lambda: clock[0])  # the first one was never closed
    left = sum(second.take("ada", limit) for _ in range(limit))
    assert limit - step(limit) <= made + left <= limit
    clock[0] += timedelta(days=1)
    assert second.take("ada", limit)


ACTIONS = st.lists(st.sampled_from(["ada", "bob", "cleo", '\n"é', "kill", "close", "tear"]), max_size=60)


@given(actions=ACTIONS, limit=st.integers(1, 400))
def test_whatever_happens_nobody_gets_more_than_the_limit_nor_loses_more_than_a_step_a_crash(
    tmp_path_factory: pytest.TempPathFactory, actions: list[str], limit: int
) -> None:
    path = tmp_path_factory.mktemp("quotas") / FILE
    kept, made, crashes = Quotas(path, lambda: NOW), Counter[str](), 0
    for action in actions:
        if action == "close":
            kept.close()
        elif action == "tear" and path.exists():  # what a full disk leaves of a line
            with path.open("a") as file:
                file.write('["ada", 1')
        if action in {"kill", "close", "tear"}:
            kept, crashes = Quotas(path, lambda: NOW), crashes + (action != "close")
        else:
            made[action] += kept.take(action, limit)
    for client in ("ada", "bob", "cleo"):
        total = made[client] + sum(kept.take(client, limit) for _ in range(limit))
        assert limit - crashes * step(limit) <= total <= limit


def test_many_clients_cost_a_line_each_and_not_a_file_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def write(path: Path, text: str) -> None:
        written.append(len(text))
        path.write_text(text)

    monkeypatch.setattr(quotas, "write_private", write)
    kept = Quotas(tmp_path / FILE, lambda: NOW)
    assert all(kept.take(f"10.0.{number // 256}.{number % 256}", 5) for number in range(3000))
    assert len(written) == 1
    again = Quotas(tmp_path / FILE, lambda: NOW)
    assert sum(again.take("10.0.0.7", 5) for _ in range(9)) == 4


def test_beyond_so_many_clients_all_others_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "MOST_CLIENTS", 10)
    kept = Quotas(tmp_path / FILE, lambda: NOW)
    assert [kept.take(f"client-{number}", 5) for number in range(20)].count(True) == 15
    assert kept.take("client-3", 5)
    assert OTHERS in (tmp_path / FILE).read_text()


def test_a_file_that_cannot_be_written_closes_no_door_and_is_written_whole_later(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    kept = Quotas(folder / FILE, lambda: NOW)
    assert kept.take("ada", 100)
    (folder / FILE).rename(folder / "kept")
    (folder / FILE).mkdir()  # whoever is root writes into anything but a folder
    assert all(kept.take("ada", 100) for _ in range(9))
    (folder / FILE).rmdir()
    assert kept.take("bob", 100)
    assert sum(Quotas(folder / FILE, lambda: NOW).take("ada", 100) for _ in range(100)) == 90
