"""YAML as people write settings in it: safe types only, and no key twice."""

from typing import Any

import yaml


def parse_yaml(text: str) -> Any:
    """Parse one document of YAML or JSON; None for an empty one.

    Raises:
        YAMLError: It is no YAML, or a key stands twice in one mapping.
    """
    return yaml.load(text, OnceOnly)  # noqa: S506  # a safe loader


def yaml_reason(fault: yaml.YAMLError) -> str:
    """Return what is wrong, and where, in one line."""
    return " ".join(str(fault).split())


class OnceOnly(yaml.SafeLoader):
    """YAML in which a key that stands twice is a fault, and which reads JSON's texts whole; plain YAML does neither."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping.

        Raises:
            ConstructorError: A key is there twice.
        """
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen and isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, f"key '{key_node.value}' is there twice", key_node.start_mark
                )
            if isinstance(key_node, yaml.ScalarNode):
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """Build a text; JSON writes a character beyond 65535 as two halves, which YAML by itself leaves apart.

        Raises:
            ConstructorError: A half stands alone.
        """
        value = super().construct_scalar(node)
        try:
            return value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError as fault:
            raise yaml.constructor.ConstructorError(
                None, None, "half of a character stands alone", node.start_mark
            ) from fault
