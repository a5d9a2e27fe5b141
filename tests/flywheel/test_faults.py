"""What is wrong with a document is said in words of ours, and names the key that people must correct."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from flywheel.faults import sentence_of


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Rate(Strict):
    kind: Literal["rate"]


class Mean(Strict):
    kind: Literal["mean"]
    low: float


class Document(Strict):
    control: str = "a"
    steps: tuple[int, ...] = (1,)
    shares: dict[str, int] = Field({"a": 100}, min_length=1)
    replicas: int = Field(1, ge=1)
    judged: bool = True
    measure: Annotated[Rate | Mean, Field(discriminator="kind")] | None = None
    inside: "Inside | None" = None

    @model_validator(mode="after")
    def _sums(self) -> "Document":
        if sum(self.shares.values()) != 100:
            raise ValueError(f"shares sum to {sum(self.shares.values())}")
        return self


class Inside(Strict):
    control: str


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"replica": 2}, "unknown key 'replica'. Remove it or correct its spelling."),
        ({"inside": {}}, "key 'inside.control' is missing. Add it."),
        (
            {"inside": {"kontrol": "a"}},
            "key 'inside.control' is missing, and key 'inside.kontrol' is unknown: correct its spelling.",
        ),
        ({"inside": {}, "kontrol": "a"}, "key 'inside.control' is missing. Add it."),
        ({"steps": 10}, "'steps' is wrong: it must be a list, as [1, 5]. Correct it."),
        ({"steps": [1, "ten"]}, "'steps.1' is wrong: it must be a whole number. Correct it."),
        ({"shares": {}}, "'shares' is wrong: it must have at least 1 entry, and has none. Correct it."),
        ({"shares": {"a": 105}}, "shares sum to 105. Correct it."),
        ({"replicas": 0}, "'replicas' is wrong: it must be greater than or equal to 1. Correct it."),
        ({"judged": "perhaps"}, "'judged' is wrong: it must be true or false. Correct it."),
        ({"measure": {"kind": "error"}}, "'measure.kind' is wrong: 'error' is none of 'rate', 'mean'. Correct it."),
        ({"measure": {}}, "key 'measure.kind' is missing. Add it."),
        ({"measure": {"sort": "mean"}}, "key 'measure.kind' is missing. Add it."),
        ([], "it must be a mapping of keys. Correct it."),
    ],
)
def test_the_first_fault_is_told_with_its_key_and_what_to_do(document: object, sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Document.model_validate(document)
    assert sentence_of(caught.value) == sentence
