"""What is wrong with a document that people write, in one sentence of ours: which key, what of it, what to do."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Place = tuple[int | str, ...]
Keys = Callable[[Place], Sequence[int | str]]
SPELLING = "Remove it or correct its spelling."
# What pydantic says of types of Python, in words for who has never seen any.
TYPES = {
    "tuple_type": "it must be a list, as [1, 5]",
    "list_type": "it must be a list, as [1, 5]",
    "dict_type": "it must be a mapping of keys",
    "model_type": "it must be a mapping of keys",
    "model_attributes_type": "it must be a mapping of keys",
    "bool_type": "it must be true or false",
    "bool_parsing": "it must be true or false",
    "string_type": "it must be a text",
    "finite_number": "it must be a finite number",
    "float_type": "it must be a number",
    "float_parsing": "it must be a number",
    "int_type": "it must be a whole number",
    "int_parsing": "it must be a whole number",
    "int_from_float": "it must be a whole number",
}
TAGS = frozenset({"union_tag_invalid", "union_tag_not_found"})


def sentence_of(fault: ValidationError, keys: Keys = tuple) -> str:
    """Return the first thing that is wrong.

    Args:
        fault: What pydantic found.
        keys: Makes of a place as pydantic names it the keys as they stand in the file.
    """
    first, *others = fault.errors()
    place = _dotted(first, keys)
    if first["type"] == "extra_forbidden":
        return f"unknown key '{place}'. {SPELLING}"
    if first["type"] in {"missing", "union_tag_not_found"}:
        beside = [_dotted(one, keys) for one in others if _stands_beside(one, first)]
        misspelt = f", and key '{beside[0]}' is unknown: correct its spelling" if beside else ". Add it"
        return f"key '{place}' is missing{misspelt}."
    what = reason_of(first).rstrip(".")
    return f"'{place}' is wrong: {what}. Correct it." if place else f"{what}. Correct it."


def reason_of(found: "ErrorDetails") -> str:
    """Return what is wrong with a value, as the rest of a sentence about it."""
    kind, context = found["type"], found.get("ctx", {})
    if kind in TYPES:
        return TYPES[kind]
    if kind == "union_tag_invalid":
        return f"'{context['tag']}' is none of {context['expected_tags']}"
    if kind in {"too_short", "too_long"}:
        return _length(kind, context)
    told = found["msg"].removeprefix("Value error, ")
    return re.sub(r"^(Input|String|Number|Decimal input|URL) should ", "it must ", told)


def _length(kind: str, context: Mapping[str, Any]) -> str:
    count = context["min_length" if kind == "too_short" else "max_length"]
    bound = f"at {'least' if kind == 'too_short' else 'most'} {count}"
    return f"it must have {bound} {'entry' if count == 1 else 'entries'}, and has {context['actual_length'] or 'none'}"


def _dotted(found: "ErrorDetails", keys: Keys) -> str:
    """Return where a fault stands; one of the key that says which kind a mapping is stands at that key."""
    tag = [str(found["ctx"]["discriminator"]).strip("'")] if found["type"] in TAGS else []
    return ".".join(map(str, [*keys(found["loc"]), *tag]))


def _stands_beside(other: "ErrorDetails", missing: "ErrorDetails") -> bool:
    mapping = missing["loc"] if missing["type"] in TAGS else missing["loc"][:-1]
    return other["type"] == "extra_forbidden" and other["loc"][:-1] == mapping
