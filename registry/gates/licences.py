"""Gate: do the libraries behind a prediction have licences that are allowed?"""

import re
from importlib.metadata import Distribution, PackageMetadata, PackageNotFoundError, distribution
from pathlib import Path

from flywheel.limits import Limits
from flywheel.package import INSIDE
from registry.gates.evidence import Measurement
from registry.gates.gate import Candidate, UnmeasurableError, judged

# What a library's metadata says in words, as SPDX says it: trove classifiers, and texts that start so.
CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "ISC License (ISCL)": "ISC",
    "Python Software Foundation License": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "Public Domain": "Unlicense",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL-2.0-or-later",
}
TEXTS = (
    (r"apache(?:[ -]software)?(?: license)?[,]?(?: version| v)?[ -]?2(?:\.0)?\b", "Apache-2.0"),
    (r"(?:the )?mit\b", "MIT"),
    (r"(?:new |modified )?bsd[ -]3|3-clause bsd|(?:new|modified) bsd", "BSD-3-Clause"),
    (r"bsd[ -]2|2-clause bsd|simplified bsd", "BSD-2-Clause"),
    (r"bsd\b", "BSD-3-Clause"),
    (r"isc\b", "ISC"),
    (r"mpl[ -]?2|mozilla public license 2", "MPL-2.0"),
    (r"psf\b|python software foundation|psfl", "PSF-2.0"),
    (r"hpnd", "HPND"),
    (r"unlicense", "Unlicense"),
    (r"gnu affero|agpl", "AGPL-3.0-only"),
    (r"lgpl", "LGPL-2.0-or-later"),
    (r"gpl[ -]?(?:v)?3|gnu general public license v3", "GPL-3.0-only"),
    (r"gpl", "GPL-2.0-only"),
)
# Sentences of licences' own texts, for metadata that says nothing: the more particular first.
WORDINGS = (
    (r"gnu affero general public license", "AGPL-3.0-only"),
    (r"gnu lesser general public license|gnu library general public license", "LGPL-2.0-or-later"),
    (r"gnu general public license", "GPL-2.0-only"),
    (r"mozilla public license,? version 2\.0", "MPL-2.0"),
    (r"apache license,? version 2\.0", "Apache-2.0"),
    (r"permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"),
    (r"permission to use, copy, modify, and/or distribute this software for any purpose", "ISC"),
    (r"redistribution and use in source and binary forms.*neither the name", "BSD-3-Clause"),
    (r"redistribution and use in source and binary forms", "BSD-2-Clause"),
    (r"python software foundation license version 2", "PSF-2.0"),
)
SHOWN = 10


class Licences:
    """Looks up every library of requirements.lock (or requirements.txt) in the metadata of what is installed here."""

    name = "licences"
    title = "Licences of libraries"

    def measure(self, candidate: Candidate, limits: Limits) -> Measurement:
        """Name every library whose licence is not on the list, or not known."""
        libraries = read_libraries(candidate.folder)
        found = {name: licence_of(name) for name in libraries}
        listed = {f"{name} {libraries[name]}".strip(): licence for name, licence in found.items()}
        if limits.licences is None:
            return judged(True, f"No list limits the licences of {len(found)} libraries.", details={"licences": listed})
        allowed = frozenset(limits.licences)
        refused = {name: text for name, text in found.items() if text is not None and not permits(text, allowed)}
        unknown = sorted(name for name, text in found.items() if text is None)
        details = {"licences": listed, "not_allowed": refused, "unknown": unknown}
        counts = {"value": float(len(refused) + len(unknown)), "limit": 0.0, "unit": "libraries"}
        if refused:
            said = ", ".join(f"{name} ({text})" for name, text in sorted(refused.items())[:SHOWN])
            return judged(False, f"Licences that the policy does not allow: {said}.", details=details, **counts)
        if unknown:
            said = ", ".join(unknown[:SHOWN])
            return judged(
                False,
                f"The licence of {said} is not known here. Install it beside the registry, or do without it.",
                details=details,
                **counts,
            )
        sentence = f"All {len(found)} libraries behind a prediction have licences that the policy allows."
        return judged(True, sentence, details=details, **counts)


def read_libraries(folder: Path) -> dict[str, str]:
    """Return name and version ('' where it is not pinned) of each library that a model asks for.

    Raises:
        UnmeasurableError: The model says nothing of its libraries.
    """
    for path in (folder / INSIDE / "requirements.lock", folder / "requirements.txt"):
        if path.is_file():
            lines = (line.split("#")[0].split(";")[0].strip() for line in path.read_text(errors="replace").splitlines())
            pairs = (re.match(r"([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*(?:==\s*([\w.+!-]+))?", line) for line in lines)
            return {match[1].lower().replace("_", "-"): match[2] or "" for match in pairs if match}
    raise UnmeasurableError("The model names no libraries: it has neither requirements.lock nor requirements.txt.")


def licence_of(library: str) -> str | None:
    """Return the SPDX expression of an installed library; None where it is not installed or does not say."""
    try:
        installed = distribution(library)
    except PackageNotFoundError:
        return None
    return spdx(installed.metadata) or wording("\n".join(_texts(installed)))


def spdx(said: PackageMetadata) -> str | None:
    """Return what metadata says as an SPDX expression: License-Expression, else classifiers, else the text."""
    if expression := (said.get_all("License-Expression") or [""])[0]:
        return str(expression).strip()
    names = [line.split(" :: ")[-1] for line in said.get_all("Classifier") or [] if line.startswith("License ::")]
    known = [CLASSIFIERS[name] for name in names if name in CLASSIFIERS]
    if known:
        return " OR ".join(dict.fromkeys(known))
    text = " ".join(said.get_all("License") or [])
    first = re.sub(r"\s+", " ", text).strip().lower()
    return next((name for pattern, name in TEXTS if re.match(pattern, first)), None) or wording(text)


def wording(text: str) -> str | None:
    """Recognise licences by their own wording; several in one text must all be kept."""
    plain = re.sub(r"\s+", " ", text).lower()
    found = [name for pattern, name in WORDINGS if re.search(pattern, plain)]
    if "BSD-3-Clause" in found:
        found = [name for name in found if name != "BSD-2-Clause"]
    return " AND ".join(found) or None


def _texts(installed: Distribution) -> list[str]:
    """Return the texts of the licence files that a library brings."""
    files = [file for file in installed.files or () if re.match(r"(licen[cs]e|copying)", file.name, re.IGNORECASE)]
    paths = [Path(str(installed.locate_file(file))) for file in files]
    return [path.read_text(errors="replace") for path in paths if path.is_file()]


def permits(expression: str, allowed: frozenset[str]) -> bool:
    """Say whether an SPDX expression can be kept with allowed licences alone: all of AND, one of OR, WITH ignored."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression)
    try:
        value, rest = _either(tokens, allowed)
    except IndexError:
        return False
    return value and not rest


def _either(tokens: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    value, rest = _both(tokens, allowed)
    while rest and rest[0].upper() == "OR":
        other, rest = _both(rest[1:], allowed)
        value = value or other
    return value, rest


def _both(tokens: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    value, rest = _one(tokens, allowed)
    while rest and rest[0].upper() == "AND":
        other, rest = _one(rest[1:], allowed)
        value = value and other
    return value, rest


def _one(tokens: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    if tokens[0] == "(":
        value, rest = _either(tokens[1:], allowed)
        return value, rest[1:]
    rest = tokens[1:]
    while rest and rest[0].upper() == "WITH":  # an exception allows more, never less
        rest = rest[2:]
    return tokens[0] in allowed, rest
