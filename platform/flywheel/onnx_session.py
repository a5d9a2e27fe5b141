"""ONNX graphs, opened in one way by training, gates and the agent: so they are asked under the same conditions."""

from pathlib import Path

import onnxruntime as ort

ERRORS, FATAL = 3, 4  # what onnxruntime itself logs at least


def open_session(graph: Path | bytes, *, log_from: int = ERRORS) -> ort.InferenceSession:
    """Open a graph to run on one thread.

    Raises:
        Exception: It is no graph: onnxruntime's own faults share no base class.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = log_from
    content = graph if isinstance(graph, bytes) else str(graph)
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
