"""Histogram gradient boosting as ONNX: skl2onnx 1.20 converts neither its splits on categories nor its base values.

One TreeEnsemble node in doubles, as scikit-learn computes, so the sums agree to the last bits.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from flywheel.errors import DataError
from training.data.dataset import Columns
from training.packaging.onnx_nodes import DOUBLE, FLOAT, ML, Nodes

LESS_OR_EQUAL, MEMBER = 0, 6  # modes of TreeEnsemble in ai.onnx.ml 5
Codes = dict[int, npt.NDArray[np.float64]]  # by column of the matrix: which codes the model knows
BITS = 32  # of each word of a bit set
NO_CODE = -1.0
LINKS = ("IdentityLink", "LogitLink", "MultinomialLogit", "LogLink")


@dataclass
class _Ensemble:
    """The attributes of one TreeEnsemble node; all lists of nodes run together, and so do those of leaves."""

    features: list[int] = field(default_factory=list)
    modes: list[int] = field(default_factory=list)
    splits: list[float] = field(default_factory=list)
    missing_left: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    left_is_leaf: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    right_is_leaf: list[int] = field(default_factory=list)
    members: list[float] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)


def is_histogram_boosting(model: object) -> bool:
    """Say whether this module knows the model."""
    return isinstance(model, (HistGradientBoostingClassifier, HistGradientBoostingRegressor))


def add_histogram_boosting(nodes: Nodes, matrix: str, model: Any, columns: Columns) -> str:
    """Add the model to a graph.

    Args:
        nodes: Of the graph.
        matrix: Name of the float features, (n_rows, n_features).
        model: A fitted HistGradientBoostingClassifier or -Regressor.
        columns: Of the matrix.

    Returns:
        The name of doubles: (n_rows, n_classes) probabilities, (n_rows, 1) of class 1, or (n_rows, 1) numbers.

    Raises:
        DataError: The model's link function is not known here.
    """
    link = type(model._loss.link).__name__
    if link not in LINKS:
        raise DataError(f"Its link function {link} has no ONNX form here. Use a loss with another link.")
    order, codes = _columns(model)
    trees = _trees(nodes, _known(nodes, matrix, codes, columns), model, order, codes)
    raw = nodes.add("Add", trees, _base(nodes, model))
    if link == "LogitLink":
        return nodes.add("Sigmoid", raw)
    if link == "MultinomialLogit":
        return nodes.add("Softmax", raw, axis=1)
    return nodes.add("Exp", raw) if link == "LogLink" else raw


def _columns(model: Any) -> tuple[list[int], Codes]:
    """Return the matrix's column behind each of the trees' features, and by column the codes that the model knows."""
    flags = model.is_categorical_
    if flags is None or not flags.any():
        return list(range(model.n_features_in_)), {}
    categorical, numeric = np.flatnonzero(flags), np.flatnonzero(~flags)
    found = model._preprocessor.named_transformers_["encoder"].categories_
    known = {int(column): np.asarray(codes, np.float64) for column, codes in zip(categorical, found, strict=True)}
    # The model puts categories first and renumbers their codes; here the trees keep the matrix's order and codes.
    return [*categorical.tolist(), *numeric.tolist()], {
        column: codes[~np.isnan(codes)] for column, codes in known.items()
    }


def _known(nodes: Nodes, matrix: str, codes: Codes, columns: Columns) -> str:
    """Turn codes that the model has not seen into missing ones; return doubles."""
    values = nodes.add("Cast", matrix, to=DOUBLE)
    for column, seen in codes.items():
        if len(seen) == len(columns.categories[column] or ()):
            continue
        own = nodes.add("Gather", values, nodes.constant([column], np.int64), axis=1)
        same = nodes.add("Equal", own, nodes.constant(seen.reshape(1, -1), np.float64))
        hits = nodes.add("ReduceSum", nodes.add("Cast", same, to=FLOAT), nodes.constant([1], np.int64))
        unseen = nodes.add("Equal", hits, nodes.constant(0.0, np.float32))
        here = nodes.constant((np.arange(len(columns.names)) == column).reshape(1, -1), np.bool_)
        values = nodes.add("Where", nodes.add("And", unseen, here), nodes.constant(np.nan, np.float64), values)
    return values


def _base(nodes: Nodes, model: Any) -> str:
    return nodes.constant(np.asarray(model._baseline_prediction).reshape(1, -1), np.float64)


def _trees(nodes: Nodes, matrix: str, model: Any, order: list[int], codes: Codes) -> str:
    ensemble = _Ensemble()
    for iteration in model._predictors:
        for target, tree in enumerate(iteration):
            _add_tree(ensemble, tree, target, order, codes)
    return nodes.add(
        "TreeEnsemble",
        matrix,
        domain=ML,
        aggregate_function=1,  # sum
        post_transform=0,
        n_targets=model.n_trees_per_iteration_,
        nodes_featureids=ensemble.features,
        nodes_modes=_tensor(ensemble.modes, np.uint8),
        nodes_splits=_tensor(ensemble.splits, np.float64),
        nodes_missing_value_tracks_true=ensemble.missing_left,
        nodes_truenodeids=ensemble.left,
        nodes_trueleafs=ensemble.left_is_leaf,
        nodes_falsenodeids=ensemble.right,
        nodes_falseleafs=ensemble.right_is_leaf,
        tree_roots=ensemble.roots,
        leaf_targetids=ensemble.targets,
        leaf_weights=_tensor(ensemble.weights, np.float64),
        **({"membership_values": _tensor(ensemble.members, np.float64)} if ensemble.members else {}),
    )


def _tensor(values: list[Any], kind: npt.DTypeLike) -> Any:
    return numpy_helper.from_array(np.asarray(values, dtype=kind))


def _add_tree(ensemble: _Ensemble, tree: Any, target: int, order: list[int], codes: Codes) -> None:
    """Append one tree; its own numbers of nodes become places in the lists."""
    rows = tree.nodes
    inner = {int(row): place for place, row in enumerate(np.flatnonzero(rows["is_leaf"] == 0), len(ensemble.features))}
    leaves = {int(row): place for place, row in enumerate(np.flatnonzero(rows["is_leaf"]), len(ensemble.weights))}
    ensemble.weights.extend(float(rows["value"][row]) for row in leaves)
    ensemble.targets.extend([target] * len(leaves))
    if not inner:  # one leaf and no question: TreeEnsemble wants a node, whose two ends are that leaf
        inner = {-1: len(ensemble.features)}
        _add_question(ensemble, 0, LESS_OR_EQUAL, 0.0, missing_left=True)
        _add_ends(ensemble, (next(iter(leaves.values())), 1), (next(iter(leaves.values())), 1))
    ensemble.roots.append(min(inner.values()))
    for row in (row for row in inner if row >= 0):
        node = rows[row]
        column = order[int(node["feature_idx"])]
        if node["is_categorical"]:
            ensemble.members.extend([*_left_codes(tree, node, codes[column]), np.nan])
            _add_question(ensemble, column, MEMBER, 0.0, missing_left=bool(node["missing_go_to_left"]))
        else:
            threshold = float(node["num_threshold"])
            _add_question(ensemble, column, LESS_OR_EQUAL, threshold, missing_left=bool(node["missing_go_to_left"]))
        ends = [
            (inner[end], 0) if end in inner else (leaves[end], 1) for end in (int(node["left"]), int(node["right"]))
        ]
        _add_ends(ensemble, *ends)


def _add_question(ensemble: _Ensemble, column: int, mode: int, threshold: float, *, missing_left: bool) -> None:
    ensemble.features.append(column)
    ensemble.modes.append(mode)
    ensemble.splits.append(threshold)
    ensemble.missing_left.append(int(missing_left))


def _add_ends(ensemble: _Ensemble, left: tuple[int, int], right: tuple[int, int]) -> None:
    ensemble.left.append(left[0])
    ensemble.left_is_leaf.append(left[1])
    ensemble.right.append(right[0])
    ensemble.right_is_leaf.append(right[1])


def _left_codes(tree: Any, node: Any, codes: npt.NDArray[np.float64]) -> list[float]:
    """Return the matrix's codes that go left at a node: the bit set speaks of the model's own numbers of them."""
    words = tree.raw_left_cat_bitsets[int(node["bitset_idx"])]
    left = [float(code) for number, code in enumerate(codes) if int(words[number // BITS]) >> (number % BITS) & 1]
    return left or [NO_CODE]  # only missing ones go left; the operator wants a member all the same
