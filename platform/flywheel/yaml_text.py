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
    """YAML in which a key that stands twice is a fault: plain YAML would drop the first silently."""

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
