"""An ONNX graph in the making: nodes and constants, each named as it is added."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

ML = "ai.onnx.ml"
OPSET = 18
IR_VERSION = 10  # what ONNX Runtime of 2024 reads
FLOAT, DOUBLE, STRING, BOOL = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.STRING, TensorProto.BOOL


@dataclass
class Nodes:
    """Grows from inputs to outputs; a value is known by its name.

    `trees` is the version of the machine-learning operators: 3 has the tree operators that converters write, 5 a newer.
    """

    trees: int = 3
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)
    inputs: list[ValueInfoProto] = field(default_factory=list)
    outputs: list[ValueInfoProto] = field(default_factory=list)

    def input(self, name: str, kind: int) -> str:
        """Declare an input of shape (n_rows, 1)."""
        self.inputs.append(helper.make_tensor_value_info(name, kind, [None, 1]))
        return name

    def constant(self, values: npt.ArrayLike, kind: npt.DTypeLike) -> str:
        """Keep an array and return its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    def add(self, operator: str, *values: str, domain: str = "", **settings: Any) -> str:
        """Apply an operator with one output, and return that one's name."""
        name = f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(values), [name], domain=domain, **settings))
        return name

    def include(self, model: onnx.ModelProto, value: str, output: int) -> str:
        """Take a model of one input in, feed it `value`, and return the name of its output of that number.

        It must be named apart from this graph (`onnx.compose.add_prefix`).
        """
        graph = model.graph
        self.nodes.append(helper.make_node("Identity", [value], [graph.input[0].name]))
        self.nodes.extend(graph.node)
        self.constants.extend(graph.initializer)
        return str(graph.output[output].name)

    def output(self, value: str, name: str, kind: int) -> None:
        """Make a value of shape (n_rows, 1) an output of shape (n_rows,)."""
        self.nodes.append(helper.make_node("Reshape", [value, self.constant([-1], np.int64)], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, kind, [None]))

    def model(self) -> onnx.ModelProto:
        """Return the whole, checked.

        Raises:
            onnx.checker.ValidationError: It is no valid graph.
        """
        graph = helper.make_graph(self.nodes, "flywheel", self.inputs, self.outputs, self.constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, self.trees)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="flywheel")
        onnx.checker.check_model(model)
        return model
