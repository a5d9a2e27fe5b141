"""Picture for several classes: which are taken for which."""

import numpy as np
from matplotlib.figure import Figure

from flywheel.statistics import Floats
from training.evaluation.plots.canvas import INK, canvas, shorten

MOST_CLASSES, MOST_WRITTEN = 25, 14


def confusion(label: Floats, prediction: Floats, classes: tuple[str, ...]) -> Figure:
    """Draw of each true class's rows which share was taken for which class; of many classes the most frequent.

    Args:
        label: Codes, (n_rows,).
        prediction: (n_rows, n_classes).
        classes: Names of the codes.
    """
    count = len(classes)
    table = np.zeros((count, count))
    np.add.at(table, (label.astype(np.int64), prediction.argmax(axis=1)), 1)
    kept = np.sort(np.argsort(-table.sum(axis=1), kind="stable")[:MOST_CLASSES])
    shares = (table / np.maximum(table.sum(axis=1, keepdims=True), 1))[np.ix_(kept, kept)]
    names = [shorten(classes[code], 18) for code in kept]
    size = 2.8 + 0.42 * max(4, len(kept))
    figure, axes = canvas("Confusion on test rows, % of each true class", width=size + 0.8, height=size)
    image = axes.imshow(shares * 100, cmap="Blues", vmin=0, vmax=100)
    rows = table.sum(axis=1)[kept]
    axes.set_xticks(range(len(kept)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(kept)), [f"{name} ({count:,.0f})" for name, count in zip(names, rows, strict=True)])
    axes.set(xlabel="predicted", ylabel="true class (rows)")
    axes.spines[:].set_visible(False)
    if len(kept) <= MOST_WRITTEN:
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                colour = "white" if share > 0.55 else INK
                axes.text(column, row, f"{share * 100:.0f}", ha="center", va="center", color=colour, fontsize=8)
    else:
        figure.colorbar(image, ax=axes, shrink=0.6)
    return figure
