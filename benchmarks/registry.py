"""What does the registry in MLflow's server cost, and does it hold under load and with many versions?

Starts a stack of its own in a temporary home, beside it MLflow's own server with its login on the same Postgres and S3,
and a Flywheel server with several workers; compares within one run.

    python -m benchmarks.registry [--rounds 300] [--json FILE]

The table of a run stands in benchmarks/README.md.
"""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks import registry_conflicts, registry_overhead, registry_scale
from benchmarks.registry_servers import Server, owner_engine, plain_server, second_server, stack, stack_server
from flywheel.goals import Goal, write_goals
from flywheel.policy import GatePolicy, Person, Policy
from flywheel.settings import Settings

WORKERS = 2
Goals = list[Goal]
Rows = list[dict[str, Any]]
VERSIONS = 5  # that 100 transitions quarrel about


def main() -> None:
    """Run the comparisons."""
    parser = argparse.ArgumentParser(description="MLflow's server with the registry in it against MLflow's own.")
    parser.add_argument("--rounds", type=int, default=300, help="calls of each kind on each server")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    named = {name: Person(role=role) for name, role in registry_conflicts.people().items()}
    policy = Policy(people={**Policy().people, **named}, gates=GatePolicy(required=()))
    goals, rows = Goals(), Rows()
    with stack(policy) as settings, ExitStack() as until:
        ours, engine = stack_server(settings), owner_engine(until, settings, policy)
        for measured in _parts(settings, policy, ours, engine, options.rounds):
            goals, rows = [*goals, *measured[0]], [*rows, *measured[1]]
            for row in measured[1]:
                print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    for item in goals:
        print(f"{item.name:24}{item.value:>10}  {item.comparison} {item.target}  {'met' if item.met else 'missed'}")
    if options.json:
        write_goals(options.json, goals, rows)


def _parts(
    settings: Settings, policy: Policy, ours: Server, engine: sa.Engine, rounds: int
) -> Iterator[tuple[Goals, Rows]]:
    with ExitStack() as short:
        yield registry_overhead.measure(plain_server(short, settings, policy), ours, rounds)
    with ExitStack() as short:
        yield _conflicts(second_server(short, settings, WORKERS), ours, engine)
    registry_scale.fill(ours, engine)
    yield registry_scale.measure(ours)


def _conflicts(workers: Server, ours: Server, engine: sa.Engine) -> tuple[Goals, Rows]:
    model, versions = "quarrel", {}
    for author in sorted(registry_conflicts.people())[:VERSIONS]:
        session = ours.session(author)
        experiment = str(ours.made(session, "experiments/create", name=f"of {author}")["experiment_id"])
        versions[registry_overhead.register(ours, session, experiment, model)] = author
    return registry_conflicts.measure(workers, engine, versions, model)


if __name__ == "__main__":
    main()
