"""Trees as an ONNX graph: written once at training, walked by ONNX Runtime's compiled code when the server is asked.

The graph is one TreeEnsembleRegressor (https://onnx.ai/onnx/operators/onnx_aiml_TreeEnsembleRegressor.html), in single
or double precision as the library computes, so that every row takes the branches that it takes there; the sum comes
out in single precision.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.errors import BundleError

Arrays = Mapping[str, npt.NDArray[Any]]

#: Of an answer; and of the largest answer, where it is greater than 1, for those near zero.
RELATIVE_TOLERANCE: Final = 1e-5
ABSOLUTE_TOLERANCE: Final = 1e-6
#: The newest operator set in which a leaf may hold a value for each of several classes, and the graph format of then.
_TREES_SET: Final = 3
_SET: Final = 17
_GRAPH_FORMAT: Final = 8
_OUTPUTS: Final = ["sums"]
#: From so many rows on, all cores walk the trees: starting threads takes as long as a few hundred rows.
MIN_SHARED_ROWS: Final = 2_000
_CORES: Final = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
#: What else is wrong is raised.
_ONLY_FATAL: Final = 4


def write_ensemble(description: Mapping[str, Any], arrays: Arrays) -> npt.NDArray[np.uint8]:
    """Return the graph of a plan's trees, as bytes.

    Parameters
    ----------
    description : `input` (float32 or float64), `groups` (trees take turns at so many sums), `mean`, `width`,
        `equal_goes_right`.
    arrays : of the nodes of all trees, one after the other: feature, threshold, children (pairs; a leaf's are itself),
        missing_right, value (with a column per class for forests); roots; base, one for each group.
    """
    from onnx import TensorProto, helper

    kind = TensorProto.FLOAT if description["input"] == "float32" else TensorProto.DOUBLE
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["sums"], domain="ai.onnx.ml")
    node.attribute.extend(_attribute(name, value) for name, value in _attributes(description, arrays).items())
    inputs = [helper.make_tensor_value_info("x", kind, [None, description["width"]])]
    outputs = [helper.make_tensor_value_info("sums", TensorProto.FLOAT, [None, None])]
    graph = helper.make_graph([node], "trees", inputs, outputs)
    sets = [helper.make_opsetid("ai.onnx.ml", _TREES_SET), helper.make_opsetid("", _SET)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=_GRAPH_FORMAT)
    return np.frombuffer(model.SerializeToString(), dtype=np.uint8)


def _attribute(name: str, value: Any) -> Any:
    """Return an attribute; its lists are not looked through item by item, as onnx.helper does with each of a million.

    Numbers in double precision are a tensor, and have a name of their own.
    """
    from onnx import AttributeProto, helper, numpy_helper

    if not isinstance(value, np.ndarray):
        return helper.make_attribute(name, value)
    if value.dtype == np.float64:
        return helper.make_attribute(f"{name}_as_tensor", numpy_helper.from_array(value, name))
    kind, places = {"i": ("INTS", "ints"), "f": ("FLOATS", "floats"), "S": ("STRINGS", "strings")}[value.dtype.kind]
    attribute = AttributeProto(name=name, type=AttributeProto.AttributeType.Value(kind))
    getattr(attribute, places).extend(value.tolist())
    return attribute


def _attributes(description: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return the operator's attributes; numbers that are no whole ones are in the ensemble's precision."""
    number = np.dtype(description["input"])
    roots, pairs = arrays["roots"], arrays["children"].reshape(-1, 2)
    nodes = np.arange(len(pairs))
    tree = np.searchsorted(roots, nodes, side="right") - 1
    place = nodes - roots[tree]
    leaf = pairs[:, 0] == nodes
    below = np.where(leaf[:, None], 0, pairs - roots[tree][:, None])
    branch = b"BRANCH_LT" if description["equal_goes_right"] else b"BRANCH_LEQ"
    weights = arrays["value"].reshape(len(nodes), -1)[leaf]
    targets = weights.shape[1]
    # A leaf of a forest has a weight for every class; one of boosting has one, for the class whose turn its tree is.
    turn = np.tile(np.arange(targets), len(weights)) if targets > 1 else tree[leaf] % description["groups"]
    return {
        "nodes_treeids": tree,
        "nodes_nodeids": place,
        "nodes_featureids": arrays["feature"],
        "nodes_values": _not_above(arrays["threshold"], number),
        "nodes_modes": np.where(leaf, b"LEAF", branch),
        "nodes_truenodeids": below[:, 0],
        "nodes_falsenodeids": below[:, 1],
        "nodes_missing_value_tracks_true": np.where(arrays["missing_right"], 0, 1),
        "target_treeids": np.repeat(tree[leaf], targets),
        "target_nodeids": np.repeat(place[leaf], targets),
        "target_ids": turn,
        "target_weights": weights.ravel().astype(number),
        "base_values": np.resize(arrays["base"], max(targets, description["groups"])).astype(number),
        "n_targets": max(targets, description["groups"]),
        "aggregate_function": "AVERAGE" if description["mean"] else "SUM",
    }


def _not_above(thresholds: npt.NDArray[Any], number: np.dtype[Any]) -> npt.NDArray[Any]:
    """Round down: what is in single precision is at most the threshold exactly when it is at most this."""
    rounded = thresholds.astype(number)
    return np.where(rounded > thresholds, np.nextafter(rounded, number.type(-np.inf)), rounded)


def same_answers(given: npt.ArrayLike, wanted: npt.ArrayLike) -> bool:
    """Return whether a plan's answers are its pipeline's: within a rounding error of single precision a tree.

    XGBoost adds its trees up in single precision, one after the other; the graph adds them as its processor can.
    """
    given, wanted = np.asarray(given, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    if given.shape != wanted.shape:
        return False
    scale = max(1.0, float(np.abs(wanted).max(initial=0.0)))
    return np.allclose(given, wanted, rtol=RELATIVE_TOLERANCE, atol=ABSOLUTE_TOLERANCE * scale)


class Ensemble:
    """A graph ready to be asked; safe to ask from several threads.

    Raises BundleError when it is none, or its nodes do not fit together.
    """

    def __init__(self, content: npt.NDArray[np.uint8], number: npt.DTypeLike) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = _ONLY_FATAL
        try:
            self._session = onnxruntime.InferenceSession(content.tobytes(), options, ["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises kinds of its own, with nothing in common but this
            why = str(error).splitlines()[0][:300]
            raise BundleError(f"the plan's trees are refused by ONNX Runtime: {why}. Train the model again.") from error
        self._number = np.dtype(number)

    def __call__(self, matrix: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the trees' sums (or means), of shape (rows, classes)."""
        values = np.ascontiguousarray(matrix, dtype=self._number)
        if len(values) < MIN_SHARED_ROWS or _CORES == 1:
            return self._sums(values)
        return np.concatenate(list(_shared(self._sums, np.array_split(values, _CORES))))

    def _sums(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        sums: npt.NDArray[np.float32] = self._session.run(_OUTPUTS, {"x": values})[0]
        return sums


def _shared(work: Callable[[Any], Any], parts: Sequence[Any]) -> Iterator[Any]:
    """Yield each part's result, computed side by side: ONNX Runtime leaves the interpreter to the others meanwhile."""
    with ThreadPoolExecutor(len(parts)) as threads:
        yield from threads.map(work, parts)
