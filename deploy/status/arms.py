"""How each version and arm is served: a pure rule over what is routed, what runs, and what was read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

from deploy.gateway.traffic import Split
from deploy.local.places import Place, Role, program_name
from deploy.shares import CHALLENGER, SHADOW
from deploy.status.page import Traffic
from deploy.status.reading import Reading
from deploy.status.spooled import Spooled


@dataclass(frozen=True)
class Figures:
    """Of the requests that an arm answered within a window. What cannot be told is None.

    Args:
        window_seconds: How long the window is: since the agents' start, or since an earlier reading.
        requests_per_second: Answered.
        error_ratio: Of these, answered with a status of 500 or more (0 to 1).
        p50_seconds: From a request's last byte to its answer.
        p99_seconds: The same.
    """

    window_seconds: float | None = None
    requests_per_second: float | None = None
    error_ratio: float | None = None
    p50_seconds: float | None = None
    p99_seconds: float | None = None


@dataclass(frozen=True)
class Arm:
    """One arm of one version.

    Args:
        use_case: What is served.
        version: Of it.
        arm: champion, challenger (challenger-2 and so on), shadow; previous: it stands in for the champion; or
            unrouted: it runs, and no route leads to it.
        share_percent: Of the use case's traffic; of a shadow, the part of the champion's that is mirrored.
        replicas_ready: Agents that welcome traffic.
        replicas: Its agents, but for those on their way out.
        backend: mlflow or onnx; None while it is being measured.
        figures: What it answered.
        queue_rows: Rows that wait; None where no agent answers.
        log_lag_seconds: Age of the use case's oldest record that is not in the log; None where it cannot be told.
        spooled: What lies in the version's spools.
        shift: By how much its answers are moved, in log-odds.
    """

    use_case: str
    version: str
    arm: str
    share_percent: float
    replicas_ready: int
    replicas: int
    backend: str | None
    figures: Figures
    queue_rows: float | None
    log_lag_seconds: float | None
    spooled: Spooled
    shift: float = 0.0


def arms_of(
    place: Place, split: Split | None, now: Reading, earlier: Reading | None, *, spooled: Spooled, mirrored: float
) -> list[Arm]:
    """Return the arms of a version: what it is in its use case's split, and its shadow where it has one.

    Args:
        place: Where the version runs.
        split: What is routed of its use case.
        now: Pages of its agents.
        earlier: Pages of before; without, figures are of the time since the agents' start.
        spooled: What lies in its spools.
        mirrored: Percent of the champion's requests that a challenger gets as well at any time, by serving.yaml.
    """
    names = [program_name("agent", place.served, one.number) for one in place.agents if one.role is not Role.LEAVING]
    pages = [now.pages[name] for name in names if name in now.pages]
    role, share = _role(place, split)
    main = Arm(
        use_case=place.served.usecase,
        version=place.served.version,
        arm=role,
        share_percent=share,
        replicas_ready=sum(page.ready for page in pages),
        replicas=len(names),
        backend=place.choice.backend if place.choice else None,
        figures=_figures(names, now, earlier, shadow=False),
        queue_rows=sum(page.queue_rows for page in pages) if pages else None,
        log_lag_seconds=now.lags.get(place.served.usecase),
        spooled=spooled,
        shift=max((page.shift for page in pages), key=abs, default=0.0),
    )
    shadow = _figures(names, now, earlier, shadow=True)
    percent = max(mirrored, split.mirror_percent) if split is not None and role == CHALLENGER else 0.0
    if not percent and not shadow.requests_per_second:
        return [main]
    return [main, _shadow_of(main, percent, shadow)]


def _shadow_of(main: Arm, percent: float, figures: Figures) -> Arm:
    fields = {**vars(main), "arm": SHADOW, "share_percent": percent, "figures": figures}
    return Arm(**fields)


def _role(place: Place, split: Split | None) -> tuple[str, float]:
    version = place.served.version
    if split is None or version not in split.live:
        return "unrouted", 0
    arms = {backend.version: arm for arm, backend in split.arms.items()}
    return arms.get(version, "previous"), split.weights.get(version, 0)


def _figures(names: Sequence[str], now: Reading, earlier: Reading | None, *, shadow: bool) -> Figures:
    """Add up what the agents answered, each over its own window."""
    total, rate, longest = Traffic(), 0.0, 0.0
    for name in names:
        if (page := now.pages.get(name)) is None:
            continue
        former = earlier.pages.get(name) if earlier is not None else None
        same = earlier if former is not None and former.started == page.started else None
        window = max(now.at - (same.at if same else page.started), 1e-3)
        traffic = _sum(one for arm, one in page.since(former).items() if (arm == SHADOW) is shadow)
        total, rate, longest = total.plus(traffic), rate + traffic.requests / window, max(longest, window)
    if not longest:
        return Figures()
    ratio = total.errors / total.requests if total.requests else None
    return Figures(longest, rate, ratio, total.quantile(0.5), total.quantile(0.99))


def _sum(parts: Iterable[Traffic]) -> Traffic:
    return reduce(Traffic.plus, parts, Traffic())
