"""How often is an alarm false? Cells of worlds without any change, a year each, by Flywheel and by its peers."""

from dataclasses import dataclass
from itertools import product
from typing import Any

from scipy import stats

from benchmarks.drift_peers import PEERS, alarms, counted, figures
from benchmarks.drift_peers import Counted as Counts
from benchmarks.drift_worlds import Shift, World, series_of
from flywheel.monitor_spec import Drift
from monitoring.drift.watch import learn

NEVER = Shift(day=1_000_000)
BUDGET, CONFIDENCE = 1.0, 0.99
YEARS = {5: 2, 50: 1, 200: 1}  # sequences a cell by columns: what wide worlds cost is not spent on more of them
PEER_STEP = 5  # peers, whose windows do not depend on each other, look at every fifth
PEER_COLUMNS = 50  # and at worlds no wider
SEED = 11_000


@dataclass(frozen=True)
class Rate:
    """Alarms of one cell: of Flywheel in `years`, and of each peer a year."""

    world: World
    years: int
    alarms: int
    kinds: dict[str, int]
    peers: dict[str, float]

    @property
    def low(self) -> float:
        """The 99 % lower bound of alarms a year (exact Poisson; Garwood, Biometrika 28, 1936)."""
        return float(stats.chi2.ppf(1 - CONFIDENCE, 2 * self.alarms) / 2 / self.years) if self.alarms else 0.0

    @property
    def broken(self) -> bool:
        """Whether the budget surely is."""
        return self.low > BUDGET

    def row(self) -> dict[str, Any]:
        """Return the cell as plain values."""
        return {
            "part": "rates",
            "cell": self.world.name,
            "columns": self.world.columns,
            "rho": self.world.rho,
            "phi": self.world.phi,
            "heavy": self.world.heavy,
            "rows": self.world.rows,
            "uneven": self.world.uneven,
            "reference": self.world.reference,
            "years": self.years,
            "alarms": self.alarms,
            "kinds": self.kinds,
            "rate": self.alarms / self.years,
            "low": self.low,
            "peers": self.peers,
        }


def cells(*, quick: bool) -> list[World]:
    """Return the worlds: all of columns, day effects, tails and references, and some with other numbers of rows."""
    grid = product((90, 365), (5, 50, 200), (0.0, 0.02, 0.1, 0.3), (0.0, 0.5, 0.9), (False, True))
    worlds = [
        World(columns, rho, phi, heavy, rows=200, reference=reference) for reference, columns, rho, phi, heavy in grid
    ]
    few = [
        World(5, 0.1, 0.5, rows=50),
        World(5, 0.1, 0.5, rows=100, uneven=True),
        World(50, 0.02, 0.5, rows=100, uneven=True),
        World(5, 0.1, 0.0, rows=10_000),
        World(5, 0.1, 0.5, rows=10_000),
        World(5, 0.02, 0.5, rows=100_000),
        World(50, 0.1, 0.5, rows=2_000),
        World(50, 0.1, 0.5, rows=200, correlation=0.8),
    ]
    return [world for world in worlds if world.columns == 5][::4] if quick else [*worlds, *few]


def rate_of(world: World) -> Rate:
    """Let a year or more of a world go by."""
    runs = YEARS[world.columns] if world.rows < 10_000 else 1
    found = [_year(world, SEED + run, peers=run == 0) for run in range(runs)]
    kinds = [kind for year, _ in found for kind in year]
    return Rate(world, runs, len(kinds), {kind: kinds.count(kind) for kind in sorted(set(kinds))}, found[0][1])


def _year(world: World, seed: int, *, peers: bool) -> tuple[list[str], dict[str, float]]:
    """Return the kind of what each alarm names first, and alarms of peers a year."""
    reference, live = series_of(world, NEVER, seed)
    watch, before = learn(reference, Drift(false_alarms_per_year=BUDGET)), counted(reference)
    kinds, said, looks = list[str](), dict.fromkeys(PEERS, 0), 0
    peers = peers and world.columns <= PEER_COLUMNS
    for number, (block, _) in enumerate(live):
        look = watch.take(block)
        if look.alarm:
            kinds.append(look.moved[0].stream.kind.value)
        if peers and number % PEER_STEP == 0:
            looks += 1
            for name, alarm in alarms(before, figures(before, Counts.of(block))).items():
                said[name] += alarm
    return kinds, {name: count * world.live / looks for name, count in said.items()} if looks else {}
