"""Metrics of a process without a port of its own: a file in Prometheus' text form, which the exporter passes on.

    HOME/run/metrics/<process>.prom

The file is replaced as a whole, and counters go on where a former process of that name has left them: a `flywheel
deploy` lives for seconds, and what it did must still show as an increase.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter, write_to_textfile
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

SUFFIX = ".prom"
PERIOD_SECONDS = 5.0

log = structlog.get_logger()


class Textfile:
    """What one process tells: make metrics with `registry`, counters with `counter`, and `write` now and then.

    Args:
        home: Of the stack.
        process: The name of the process, and of its file.
    """

    def __init__(self, home: Path, process: str) -> None:
        self.registry = CollectorRegistry()
        self._path = textfile_path(home, process)
        self._former = {family.name: family for family in _families(self._path)}
        self._fault = ""

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """Make a counter (`name` without `_total`) that goes on where the last process left it."""
        made = Counter(name, text, labels, registry=self.registry)
        former = self._former.get(name)
        for sample in former.samples if former is not None else ():
            if sample.name == f"{name}_total" and set(sample.labels) == set(labels):
                (made.labels(**sample.labels) if labels else made).inc(sample.value)
        return made

    def former(self, name: str) -> float | None:
        """Return the value of a gauge of one series as the last process left it; None where there was none."""
        family = self._former.get(name)
        return family.samples[0].value if family is not None and len(family.samples) == 1 else None

    def write(self) -> None:
        """Replace the file. A full disk must not end the process that counts: it is logged, once."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_to_textfile(str(self._path), self.registry)
            self._fault = ""
        except OSError as fault:
            if str(fault) != self._fault:
                log.warning("metrics cannot be written", path=str(self._path), reason=str(fault))
            self._fault = str(fault)

    @contextmanager
    def kept(self, seconds: float = PERIOD_SECONDS) -> Iterator[None]:
        """Write every so many seconds from a thread, and once more at the end."""
        stop = threading.Event()
        thread = threading.Thread(target=self._keep, args=(stop, seconds), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.write()

    def _keep(self, stop: threading.Event, seconds: float) -> None:
        self.write()
        while not stop.wait(seconds):
            self.write()


class TextfileCollector(Collector):
    """All textfiles of a home, as they stand at the scrape, and when each was written."""

    def __init__(self, home: Path) -> None:
        self._folder = _folder(home)

    def collect(self) -> Iterable[Metric]:
        """Read them now; one that is damaged is logged and left out. A name that several files tell is one family."""
        together: dict[str, Metric] = {}
        written = GaugeMetricFamily(
            "flywheel_textfile_mtime_seconds", "When a process wrote its metrics last.", labels=("program",)
        )
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            try:
                written.add_metric([path.stem], path.stat().st_mtime)
            except FileNotFoundError:
                continue
            for family in _families(path):
                if family.name in together:
                    together[family.name].samples += family.samples
                else:
                    together[family.name] = family
        yield from together.values()
        yield written


def textfile_path(home: Path, process: str) -> Path:
    """Return the file of a process."""
    return _folder(home) / f"{process}{SUFFIX}"


def _folder(home: Path) -> Path:
    return home / "run" / "metrics"


def _families(path: Path) -> list[Metric]:
    try:
        found = list(text_string_to_metric_families(path.read_text()))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError) as fault:
        log.warning("metrics cannot be read", path=str(path), reason=str(fault))
        return []
    return [family for family in found if not family.name.endswith("_created")]
