"""The figure of docs/serving.md: requests/s and p99 by connections, a line a server."""

from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.serving_rounds import AGENT_MLFLOW, AGENT_ONNX, CONNECTIONS, Table

OURS = {AGENT_ONNX: "#0b6e4f", AGENT_MLFLOW: "#c8553d"}
OTHERS = ("#444444", "#7f7f7f", "#1f77b4", "#9467bd", "#8c564b", "#e0a100", "#17becf", "#bcbd22")
FIGURES = (("requests_per_second", "requests/s (higher is better)"), ("p99_ms", "p99, ms (lower is better)"))


def draw(path: Path, table: Table) -> None:
    """Draw the medians of a run into a PNG."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    names = list(dict.fromkeys(name for name, _ in table.measured))
    colours = dict(zip((name for name in names if name not in OURS), OTHERS, strict=False)) | OURS
    for axes, (key, label) in zip(figure.subplots(1, 2), FIGURES, strict=True):
        for name in names:
            points = [(count, table.value(name, count, key)) for count in CONNECTIONS]
            known = [(count, value) for count, value in points if value is not None]
            if not known:
                continue
            style = {"linewidth": 2.4, "zorder": 3} if name in OURS else {"linewidth": 1.2, "linestyle": "--"}
            axes.plot(*zip(*known, strict=True), marker="o", label=name, color=colours.get(name), **style)
        axes.set(xscale="log", yscale="log", xlabel="connections", title=label)
        axes.set_xticks(CONNECTIONS, [str(count) for count in CONNECTIONS])
        axes.minorticks_off()
        axes.grid(visible=True, alpha=0.25)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
