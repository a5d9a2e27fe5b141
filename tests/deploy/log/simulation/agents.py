"""Agents of a simulated node: they write segments as `deploy.agent.spool` does, one small step at a time, and die."""

from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.deploy.log.simulation.disk import File, Medium
from tests.deploy.log.simulation.world import Process, World
from tests.deploy.log.test_outcome_spools import outcome_line
from tests.deploy.test_shipper import CONTRACT_JSON, record

HOME = Path("/simulated")
NOISE = (b"garbage\n", b"{}\n", b"\xff\xfe\n", record(0, schema_version=2))

STEPS_PER_TICK = 5

Kind = Literal["predictions", "outcomes"]


@dataclass(frozen=True)
class Line:
    """One line: the id of its row, None for what is no record."""

    content: bytes
    id: str | None


@dataclass
class Agent:
    """One agent after the other on one folder; each lives from `step` to `step` until it is killed."""

    world: World
    medium: Medium
    kind: Kind
    folder: Path
    process: Process = field(default_factory=Process)

    def __post_init__(self) -> None:
        self._ticked, self._steps = 0.0, 0
        self._life = self._live()
        self.world.bystanders.append(self.step)
        self.world.blackout.append(self.kill)
        self.world.last_rites.append(self.kill)
        contract = File(bytearray(CONTRACT_JSON), len(CONTRACT_JSON))
        self.medium.change((self.folder / "contract.json", contract))
        self.medium.sync_folder(self.folder)

    def step(self) -> None:
        """Go on a little; now and then die, and start again. A tick of a shipper has so many steps at most."""
        if self.world.time != self._ticked:
            self._ticked, self._steps = self.world.time, 0
        self._steps += 1
        if self._steps > STEPS_PER_TICK:
            return
        if self.world.chance.random() < 0.02:
            self.kill()
        next(self._life)

    def kill(self) -> None:
        """Die as by kill -9: locks are free, and what was written stays. The next step starts another."""
        self.process.alive = False
        self.process = Process()
        self._life = self._live()

    def _live(self) -> Iterator[None]:
        chance = self.world.chance
        path, file = yield from self._open()
        while True:
            yield
            lines = [self._line() for _ in range(chance.randint(1, 3))]
            content = b"".join(line.content for line in lines)
            self._noted(path, lines)
            if chance.random() < 0.05:  # the disk takes a part
                file.content += content[: chance.randrange(len(content))]
                torn = True
            else:
                seen = chance.randint(1, len(content))  # a reader may see a part of a write first
                file.content += content[:seen]
                yield
                file.content += content[seen:]
                yield
                if self.world.power:
                    file.synced = len(file.content)
                self._promise(path, lines)
                torn = False
            if torn or chance.random() < 0.3:
                before = file
                path, file = yield from self._open()
                before.holder = None

    def _open(self) -> Generator[None, None, tuple[Path, File]]:
        name = f"{self.folder.name}-{self.world.happened['segments']:06d}"
        self.world.happened["segments"] += 1
        temporary, path, file = self.folder / f".{name}.new", self.folder / f"{name}.jsonl", File()
        self.medium.change((temporary, file))
        yield
        file.holder = self.process
        yield
        if temporary not in self.medium.files:  # it was asleep before it took the lock, and a shipper cleared it away
            return (yield from self._open())
        self.medium.change((path, file), (temporary, None))
        if self.world.power:
            yield
            self.medium.sync_folder(self.folder)
        return path, file

    def _line(self) -> Line:
        if self.world.chance.random() < 0.03:
            return Line(self.world.chance.choice(NOISE), None)
        number = self.world.happened["lines"]
        self.world.happened["lines"] += 1
        if self.kind == "predictions":
            return Line(record(number), f"p-{number}")
        if self.world.chance.random() < 0.3:  # a client sends it again, to whichever agent
            number = self.world.chance.randint(0, number)
        return Line(outcome_line(number), f"o{number}")

    def _noted(self, path: Path, lines: list[Line]) -> None:
        """Note lines that are no records before they are written: more than these are never set aside."""
        self.world.promises.bad_at_most.setdefault(path, Counter()).update(_bad(lines))

    def _promise(self, path: Path, lines: list[Line]) -> None:
        """Tell the client that its lines are safe."""
        ids = {line.id for line in lines if line.id is not None}
        self.world.promises.rows[self.kind] |= ids
        self.world.promises.of_segment.setdefault(path, set()).update(ids)
        self.world.promises.bad_at_least.setdefault(path, Counter()).update(_bad(lines))


def _bad(lines: list[Line]) -> Counter[bytes]:
    return Counter(line.content for line in lines if line.id is None)
