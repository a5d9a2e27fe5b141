"""Gate: does the version say what it takes and answers, and can the champion's callers stay as they are?"""

from collections.abc import Mapping

from flywheel.compatibility import input_breaks
from flywheel.limits import Limits
from flywheel.package import INSIDE, read_package
from registry.gates.evidence import Measurement
from registry.gates.gate import Candidate, judged
from registry.gates.server import RefusedQuestionError
from registry.gates.signatures import read_inputs, read_outputs, signature_part


class Signature:
    """Looks for a signature, asks the server with the input example, and compares with the champion.

    During a rollout both versions get the same requests, so whatever the champion accepts must be accepted.
    """

    name = "signature"
    title = "Signature"

    def measure(self, candidate: Candidate, limits: Limits) -> Measurement:
        """Gather everything that is wrong; nothing must be."""
        wrong = _absent(candidate) or [*_example(candidate), *_breaks(candidate)]
        new = _new(candidate)
        said = [
            f"{len(candidate.inputs)} inputs" if candidate.inputs else "tensor inputs",
            "the input example is answered",
        ]
        said += ["the champion's callers can stay as they are"] if candidate.champion else []
        said += [f"new inputs that may be missing: {', '.join(new)}"] if new else []
        return judged(
            not wrong,
            f"The signature does not hold: {'; '.join(wrong)}."
            if wrong
            else f"The signature holds: {'; '.join(said)}.",
            value=float(len(wrong)),
            limit=0.0,
            unit="faults",
            details={"faults": wrong, "new_inputs": new},
        )


def _absent(candidate: Candidate) -> list[str]:
    parts = [part for part in ("inputs", "outputs") if not signature_part(candidate.folder, part)]
    return [f"the model has no {' and no '.join(parts)} in its signature: log it with one"] if parts else []


def _example(candidate: Candidate) -> list[str]:
    if candidate.example is None:
        return ["the model has no input example: log it with one"]
    try:
        answers = candidate.server.ask(candidate.example.first())
    except RefusedQuestionError as fault:
        return [f"the model refuses its own input example: {str(fault).rstrip('.')}"]
    promised = read_outputs(candidate.folder, candidate.package)
    lacking = [name for name in promised if answers and name not in answers[0]] if _named(promised) else []
    return [f"output '{name}' is promised and not answered" for name in lacking]


def _named(outputs: Mapping[str, str]) -> bool:
    return not all(name.isdigit() for name in outputs)


def _breaks(candidate: Candidate) -> list[str]:
    if candidate.champion is None:
        return []
    package = read_package(candidate.champion) if (candidate.champion / INSIDE).is_dir() else None
    found = input_breaks(candidate.inputs, read_inputs(candidate.champion, package))
    now, then = read_outputs(candidate.folder, candidate.package), read_outputs(candidate.champion, package)
    found += [f"output '{name}' of the champion is gone" for name in then if name not in now]
    found += [
        f"output '{name}' was {then[name]} and is {now[name]}"
        for name in then
        if then[name] != now.get(name, then[name])
    ]
    return found + [f"output '{name}' is new" for name in now if name not in then]


def _new(candidate: Candidate) -> list[str]:
    if candidate.champion is None:
        return []
    package = read_package(candidate.champion) if (candidate.champion / INSIDE).is_dir() else None
    known = {one.name for one in read_inputs(candidate.champion, package)}
    return [one.name for one in candidate.inputs if one.name not in known]
