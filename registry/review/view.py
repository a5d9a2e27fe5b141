"""What the review page shows, as plain values: made of what was read, without reading anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from flywheel.events import Event, EventKind
from flywheel.policy import Policy
from registry.policy.reviews import Review
from registry.policy.rules import PRODUCTION
from registry.policy.standing import Need, Standing
from registry.review import data_changes as data
from registry.review.bars import Bar, around_zero, side_by_side
from registry.review.code_changes import FileChange, file_change
from registry.review.comparison import Figure, Measured, Setting, Side, figures, on_same_data, over_champion, settings
from registry.review.evaluation import Duel, Json, Part, Rivalry, parts, read_json, rivalry
from registry.review.gates import PREFIX, GatePart, Shown, gate_parts, shown_gates, tally
from registry.review.wording import Told, tell_all

CODE = ("usecase.yaml", "features.py")
# Plots that a reviewer asks for first, in this order; the others follow behind a fold.
FIRST_PLOTS = ("calibration", "roc", "precision_recall", "residuals", "predicted_actual", "confusion")
TITLES = {
    "calibration": "Reliability",
    "roc": "ROC curve",
    "precision_recall": "Precision and recall",
    "importance": "What the model looks at",
    "local": "Single predictions explained",
    "optimisation": "Search: best so far",
    "parallel": "Search: all trials",
    "robustness": "When an input is missing or off",
    "slices": "Scores by part",
}
SPEAKS = 30  # rows: the score of fewer is mostly chance
PICTURES = (".png", ".svg")
OPINIONS = frozenset({EventKind.REVIEW_APPROVED, EventKind.REVIEW_REJECTED, EventKind.REVIEW_CHANGES_REQUESTED})


@dataclass(frozen=True)
class Read:
    """Everything that was read of one version.

    Args:
        side: The version with its run.
        documents: The package's small files by name.
        plots: Names of the run's pictures.
        has_diff: Whether the run kept uncommitted changes.
    """

    side: Side
    documents: Mapping[str, bytes]
    plots: tuple[str, ...] = ()
    has_diff: bool = False


@dataclass(frozen=True)
class Plot:
    """One kind of picture, with the run that has it on either side; None where it does not."""

    name: str
    title: str
    path: str
    candidate: str | None
    champion: str | None


@dataclass(frozen=True)
class DuelRow:
    """A score of both on the same rows, with its drawing."""

    duel: Duel
    bar: Bar


@dataclass(frozen=True)
class PartRow:
    """A part of the test rows with its drawing."""

    part: Part
    bar: Bar | None


@dataclass(frozen=True)
class ShiftRow:
    """A column's shift, with both spreads on one scale."""

    shift: data.Shift
    champion: Bar | None
    candidate: Bar | None


@dataclass(frozen=True)
class DataView:
    """Differences of the data and of the features."""

    known: bool
    columns: tuple[data.ColumnChange, ...]
    features_added: tuple[str, ...]
    features_removed: tuple[str, ...]
    shifts: tuple[ShiftRow, ...]
    spans: tuple[tuple[str, int, datetime, datetime], ...]
    used: tuple[Setting, ...]

    @property
    def moved(self) -> int:
        """How many columns moved more than a little."""
        return sum(row.shift.word in ("moderate", "large") for row in self.shifts)


@dataclass(frozen=True)
class CodeView:
    """Differences of the code, and where both came from."""

    commit: str | None
    champion_commit: str | None
    dirty: bool
    files: tuple[FileChange, ...]
    known: bool

    @property
    def added(self) -> int:
        """Lines added in all files."""
        return sum(one.added for one in self.files)

    @property
    def removed(self) -> int:
        """Lines removed in all files."""
        return sum(one.removed for one in self.files)


@dataclass(frozen=True)
class Powers:
    """What the page offers its viewer; the server judges each request again."""

    comment: bool
    review: bool
    withdraw: bool
    stage: bool
    move: bool
    archive: bool
    gates: bool
    override: bool


@dataclass(frozen=True)
class View:
    """All of the review page."""

    candidate: Side
    champion: Side | None
    is_champion: bool
    in_production: bool
    standing: Standing
    unmet: tuple[Need, ...]
    met: tuple[Need, ...]
    powers: Powers
    gates: tuple[Shown, ...]
    gate_tally: Mapping[str, int]
    rivalry: Rivalry | None
    rivalry_holds: bool
    loss: Measured | None
    loss_bar: Bar | None
    duels: tuple[DuelRow, ...]
    figures: tuple[Figure, ...]
    comparable: bool
    parts: tuple[PartRow, ...]
    gate_parts: tuple[GatePart, ...]
    plots: tuple[Plot, ...]
    more_plots: tuple[Plot, ...]
    data: DataView
    settings: tuple[Setting, ...]
    code: CodeView
    story: tuple[Told, ...]
    reviews: tuple[Review, ...]

    @property
    def unmet_gates(self) -> tuple[Need, ...]:
        """The gates among what is missing."""
        return tuple(need for need in self.unmet if need.name.startswith(PREFIX))

    @property
    def weakest(self) -> Part | None:
        """The worst part that is large enough to speak of; else the worst."""
        large = [row.part for row in self.parts if row.part.rows >= SPEAKS]
        return large[0] if large else self.parts[0].part if self.parts else None


def build(
    candidate: Read,
    champion: Read | None,
    *,
    is_champion: bool,
    standing: Standing,
    events: list[Event],
    policy: Policy,
    viewer: str,
    now: datetime,
) -> View:
    """Put the page together.

    Args:
        candidate: The version that the page is about.
        champion: The champion beside it; None where there is none, or the candidate is it.
        is_champion: Whether the candidate is the champion.
        standing: Where it stands, for this viewer.
        events: Of the version and its model, oldest first.
        policy: In force for this model.
        viewer: Who looks.
        now: With its zone.
    """
    rival = champion.side if champion else None
    ours, theirs = read_json(candidate.documents.get("evaluation.json")), _evaluation(champion)
    duel = rivalry(ours)
    loss = over_champion(candidate.side) or (duel.loss if duel else None)
    gates = shown_gates(standing.needs, standing.evidence, standing.digest, policy.gates.expire, now)
    pictures = _plots(candidate, champion)
    first = tuple(plot for plot in pictures if plot.name in FIRST_PLOTS) or pictures
    stage = candidate.side.version.current_stage
    return View(
        candidate=candidate.side,
        champion=rival,
        is_champion=is_champion,
        in_production=stage == PRODUCTION,
        standing=standing,
        unmet=tuple(need for need in standing.needs if not need.met),
        met=tuple(need for need in standing.needs if need.met),
        powers=powers(policy, viewer, standing, stage),
        gates=tuple(gates),
        gate_tally=tally(gates),
        rivalry=duel,
        rivalry_holds=duel is not None and _still_champion(candidate.side, rival),
        loss=loss,
        loss_bar=around_zero(loss) if loss else None,
        duels=tuple(DuelRow(one, around_zero(one.difference)) for one in duel.duels) if duel else (),
        figures=tuple(figures(candidate.side, rival)),
        comparable=rival is None or on_same_data(candidate.side, rival),
        parts=_parts(ours, theirs),
        gate_parts=gate_parts(gates),
        plots=first,
        more_plots=tuple(plot for plot in pictures if plot not in first),
        data=_data(candidate, champion),
        settings=tuple(settings(candidate.side, rival)),
        code=_code(candidate, champion),
        story=tuple(tell_all(events)),
        reviews=tuple(reversed(standing.reviews)),
    )


def powers(policy: Policy, viewer: str, standing: Standing, stage: str) -> Powers:
    """Say what the viewer may try, by their role."""
    role = policy.role(viewer)
    asks, reviews, operates = (role in roles for roles in (policy.may.ask, policy.may.review, policy.may.operate))
    own = [review.kind for review in standing.reviews if review.reviewer == viewer and _counts(review)]
    return Powers(
        comment=asks or reviews,
        review=standing.may_review,
        withdraw=bool(own) and own[-1] in OPINIONS,
        stage=stage == "None" and (asks or reviews),
        move=stage != PRODUCTION and standing.may_review and standing.ready,
        archive=stage != "Archived" and (operates or (stage != PRODUCTION and (asks or reviews))),
        gates=asks or reviews,
        override=stage != PRODUCTION and role in policy.may.override and not standing.ready,
    )


def _counts(review: Review) -> bool:
    return review.kind in OPINIONS or review.kind == EventKind.REVIEW_WITHDRAWN


def _evaluation(read: Read | None) -> Json:
    return read_json(read.documents.get("evaluation.json")) if read else {}


def _still_champion(candidate: Side, champion: Side | None) -> bool:
    return champion is not None and candidate.champion_version == str(champion.version.version)


def _parts(ours: Json, theirs: Json) -> tuple[PartRow, ...]:
    return tuple(PartRow(one, around_zero(one.difference) if one.difference else None) for one in parts(ours, theirs))


def _plots(candidate: Read, champion: Read | None) -> tuple[Plot, ...]:
    def key(file: str) -> tuple[int, str]:
        name = file.rsplit(".", 1)[0]
        return (FIRST_PLOTS.index(name) if name in FIRST_PLOTS else len(FIRST_PLOTS), name)

    theirs = set(champion.plots) if champion else set()
    files = sorted({*candidate.plots, *theirs}, key=key)
    return tuple(
        Plot(
            name=file.rsplit(".", 1)[0],
            title=TITLES.get(file.rsplit(".", 1)[0], file.rsplit(".", 1)[0].replace("_", " ").capitalize()),
            path=f"plots/{file}",
            candidate=candidate.side.version.run_id if file in candidate.plots else None,
            champion=champion.side.version.run_id if champion and file in theirs else None,
        )
        for file in files
        if file.endswith(PICTURES)
    )


def _data(candidate: Read, champion: Read | None) -> DataView:
    theirs = champion.documents if champion else {}
    contracts = (
        data.read_contract(candidate.documents.get("contract.json")),
        data.read_contract(theirs.get("contract.json")),
    )
    profiles = (
        data.read_data_profile(candidate.documents.get("data_profile.json")),
        data.read_data_profile(theirs.get("data_profile.json")),
    )
    ours = data.features(candidate.documents.get("encoding.json"))
    their = data.features(theirs.get("encoding.json"))
    named = zip(("This version", "Champion"), profiles, strict=True)
    return DataView(
        known=contracts[0] is not None,
        columns=tuple(data.column_changes(contracts[0], contracts[1])) if contracts[0] and contracts[1] else (),
        features_added=tuple(name for name in ours if their and name not in their),
        features_removed=tuple(name for name in their if ours and name not in ours),
        shifts=tuple(map(_shift_row, data.shifts(*profiles))) if profiles[0] and profiles[1] else (),  # type: ignore[arg-type]
        spans=tuple((name, found.rows, found.start, found.end) for name, found in named if found),
        used=tuple(_used(candidate.side, champion.side if champion else None)),
    )


def _used(candidate: Side, champion: Side | None) -> list[Setting]:
    """Compare the digests of the data sets by their part in the training, else by name."""
    ours, theirs = (
        {item.context or item.name: item.digest for item in one.data} if one else {} for one in (candidate, champion)
    )
    return [
        Setting(name, ours.get(name), theirs.get(name), ours.get(name) != theirs.get(name))
        for name in {**ours, **theirs}
    ]


def _shift_row(shift: data.Shift) -> ShiftRow:
    spreads = [Measured(one.middle, one.low, one.high) if one else None for one in (shift.champion, shift.candidate)]
    champion, candidate = side_by_side(spreads)
    return ShiftRow(shift, champion, candidate)


def _code(candidate: Read, champion: Read | None) -> CodeView:
    theirs = champion.documents if champion else {}
    found = [file_change(name, theirs.get(name), candidate.documents.get(name)) for name in CODE] if champion else []
    return CodeView(
        commit=_commit(candidate),
        champion_commit=_commit(champion) if champion else None,
        dirty=candidate.has_diff,
        files=tuple(one for one in found if one),
        known=any(name in candidate.documents for name in CODE),
    )


def _commit(read: Read) -> str | None:
    """Return the commit of the use case's own repository; else the one that MLflow saw."""
    told = read_json(read.documents.get("lineage.json")).get("git_commit")
    return str(told) if told else read.side.commit
