"""The training card: what a version is, how good, where it fails and where it came from, as HTML and as Markdown.

Both say the same from the same facts; templates/card.html and card.md lay them out. The HTML page needs no other file.
"""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from flywheel.contract import Contract
from flywheel.package import Lineage
from flywheel.usecase import UseCase
from training.metrics import METRICS

TEMPLATES = Path(__file__).with_name("templates")
DOTS = 110  # an inch: sharp at twice a phone's width, and small
# What an evaluation may hold and the card shows; a part that was not measured is left out.
PARTS = (
    "metric", "rows", "days", "resampling", "scores", "baseline", "champion", "calibration", "decision",
    "decision_outcome", "slices", "worst_slices", "robustness", "behaviours", "explanation",
)  # fmt: skip
TOP = 12  # features, disturbances and slices that are shown

KINDS = {
    "binary": "the probability that {label} is 1",
    "multiclass": "which class {label} is, with the probability of each",
    "regression": "the number {label}",
}


@dataclass(frozen=True)
class CardFacts:
    """What the card is written from.

    `evaluation` is the document of `evaluation.json`, `onnx` that of `onnx.json`; `plots` are figures by title.
    """

    usecase: UseCase
    lineage: Lineage
    contract: Contract
    evaluation: Mapping[str, Any]
    onnx: Mapping[str, Any]
    plots: Mapping[str, Figure]


def card_html(facts: CardFacts) -> str:
    """Write the card as one self-contained page."""
    pictures = [(title, png_address(figure)) for title, figure in facts.plots.items()]
    return _environment(html=True).get_template("card.html").render(**_content(facts), plots=pictures)


def card_markdown(facts: CardFacts) -> str:
    """Write the card as Markdown, without plots."""
    text = _environment(html=False).get_template("card.md").render(**_content(facts))
    return "\n".join(line.rstrip() for line in text.splitlines()).strip() + "\n"


def png_address(figure: Figure) -> str:
    """Return a figure as a `data:` address."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS, bbox_inches="tight", facecolor="white")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def limits(facts: CardFacts) -> list[str]:
    """Say what the figures do not show."""
    found = [
        "The figures belong to the model fitted without the test rows. The packaged one was fitted again with the same"
        " parameters on all labelled rows: it knows the latest weeks, and has not been measured on anything later.",
        "Inputs that look unlike those of the training period get predictions all the same; monitoring says when.",
    ]
    resampling = facts.evaluation.get("resampling") or {}
    if resampling.get("note"):
        found.append(str(resampling["note"]))
    failed = [test["name"] for test in facts.evaluation.get("behaviours") or () if test["passed"] is False]
    if failed:
        found.append(f"Behavioural tests that failed: {', '.join(failed)}.")
    if worst := (facts.evaluation.get("worst_slices") or {}).get("found"):
        found.append(f"It is worse than overall in {len(worst)} parts of the data; see the slices.")
    if not facts.onnx.get("available"):
        found.append(f"There is no ONNX form: {facts.onnx.get('reason', 'none was written')}.")
    return found


def _content(facts: CardFacts) -> dict[str, Any]:
    evaluation = {**dict.fromkeys(PARTS), **facts.evaluation}
    label = facts.usecase.data.label.column
    return {
        "name": facts.usecase.name,
        "task": facts.usecase.task,
        "what": KINDS[facts.usecase.task].format(label=f"'{label}'"),
        "delay": length(facts.usecase.data.label.available_after),
        "lineage": facts.lineage,
        "contract": facts.contract,
        "evaluation": evaluation,
        "main": _main_score(evaluation),
        "scores": _scores(evaluation, facts.usecase),
        "comparisons": [part for part in (evaluation.get("baseline"), evaluation.get("champion")) if part],
        "importances": _importances(evaluation),
        "disturbances": _disturbances(evaluation),
        "worst": (evaluation.get("worst_slices") or {}).get("found", ()),
        "onnx": facts.onnx,
        "limits": limits(facts),
        "origin": _origin(facts.lineage),
        "top": TOP,
    }


def _main_score(evaluation: Mapping[str, Any]) -> Mapping[str, Any] | None:
    metric = evaluation.get("metric")
    score = (evaluation.get("scores") or {}).get(metric)
    return {"name": metric, **score} if score else None


def _scores(evaluation: Mapping[str, Any], usecase: UseCase) -> list[dict[str, Any]]:
    """Return each metric with its interval, and the values of baseline and champion on the same rows."""
    less = {metric.name: metric.less_is_better for metric in METRICS[usecase.task]}
    others = {side: ((evaluation.get(side) or {}).get("scores") or {}) for side in ("baseline", "champion")}
    return [
        {
            "name": name,
            "score": score,
            "baseline": others["baseline"].get(name),
            "champion": others["champion"].get(name),
            "better": {True: "lower", False: "higher"}.get(less.get(name), ""),  # type: ignore[arg-type]
        }
        for name, score in (evaluation.get("scores") or {}).items()
    ]


def _importances(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = (evaluation.get("explanation") or {}).get("importances") or []
    largest = max((one["value"] for one in found), default=0.0) or 1.0
    return [{**one, "share": round(100 * one["value"] / largest, 1)} for one in found[:TOP]]


def _disturbances(evaluation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what disturbs it most; what cannot be answered at all comes first."""
    found = list(evaluation.get("robustness") or ())
    return sorted(found, key=lambda one: (not one["fault"], -(one["rise"]["value"] or 0.0)))[:TOP]


def _origin(lineage: Lineage) -> str:
    source = lineage.source
    version = f" at version {source['version']}" if "version" in source else ""
    return f"{source.get('kind', 'source')} {source.get('place', 'unknown')}{version}"


def _environment(*, html: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=html,  # noqa: S701  # off for Markdown alone, which is text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": figure, "interval": interval, "day": day, "words": words, "cell": cell}
    return environment


def figure(value: float | None) -> str:
    """Write a number with four digits that count; a dash for none."""
    if value is None:
        return "–"
    if isinstance(value, int) or (abs(value) >= 1000 and float(value).is_integer()):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 10000 else f"{value:.4g}"


def interval(score: Mapping[str, Any]) -> str:
    """Write the ends of an interval; nothing when there is none."""
    if score.get("low") is None or score.get("high") is None:
        return ""
    return f"{figure(score['low'])} to {figure(score['high'])}"


def day(moment: datetime | None) -> str:
    """Write a time to the minute, UTC."""
    return "–" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def length(time: timedelta) -> str:
    """Write a length of time in the largest unit that it is a whole number of."""
    seconds = int(time.total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}" if count else "at once"
    return f"{seconds} seconds"


def words(name: str) -> str:
    """Write a metric's name as words: log_loss as log loss."""
    return name.replace("_", " ")


def cell(value: object) -> str:
    """Write text so that it stays within its cell of a Markdown table."""
    return str(value).replace("|", "\\|").replace("\n", " ")
