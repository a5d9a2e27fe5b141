"""Signatures under model packages (OpenSSF model signing): whether a folder is, file by file, what was signed.

The registry signs a version's folder when it is registered; whoever loads one verifies it first. A signature is a
Sigstore bundle of JSON text, which the `model_signing` command verifies as well. It covers every file, and with them
`registered_model_meta`, which MLflow's client adds to a download: so a signature is good for one version only.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from flywheel.errors import FlywheelError, IntegrityError, UsageError

VERIFY_KEY = "FLYWHEEL_VERIFY_KEY"
PUBLIC_KEY = "signing.pub"  # in the home folder
META = "registered_model_meta"  # the file that MLflow's client adds
PEM_END = "-----END PUBLIC KEY-----"
OTHER_BYTES = re.compile(r"Hash mismatch for '([^']+)'")
SHOWN = 5  # files that a message names
MAX_BUNDLE = 8 << 20  # characters; a bundle has about 130 a file


def trusted_key(home: Path | None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file of public keys whose signatures count; None when signatures are not demanded.

    Args:
        home: The stack's folder, which has a key of its own; None away from a stack.
        environment: Of the process: FLYWHEEL_VERIFY_KEY comes first.

    Raises:
        UsageError: FLYWHEEL_VERIFY_KEY names no file.
    """
    if named := environment.get(VERIFY_KEY):
        if not Path(named).is_file():
            raise UsageError(f"{VERIFY_KEY} names {named}, and there is no such file. Correct or unset it.")
        return Path(named)
    own = home / PUBLIC_KEY if home is not None else None
    return own if own is not None and own.is_file() else None


def public_keys(path: Path) -> dict[str, str]:
    """Read a file of one or more public keys in PEM form: each by its fingerprint, SHA-256 over its PEM text.

    Raises:
        UsageError: The file cannot be read, or holds anything but elliptic-curve public keys.
    """
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415  # only where signatures are

    try:
        blocks = [block + PEM_END + "\n" for block in path.read_text().split(PEM_END)[:-1]]
        found = {}
        for block in blocks:
            key = form.load_pem_public_key(block.encode())
            pem = key.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
            found[hashlib.sha256(pem).hexdigest()] = pem.decode()
    except (OSError, ValueError) as fault:
        raise UsageError(f"Public key {path} cannot be used: {fault}. Give a PEM file.") from fault
    if not found:
        raise UsageError(f"{path} holds no public key in PEM form. Give one that does.")
    return found


def verify(folder: Path, bundle: str | None, public_key: Path, what: str = "") -> None:
    """Check that a folder is, file by file, what one of the keys has signed; anything added is refused too.

    Args:
        folder: As MLflow's client downloads a version (see `add_meta` for one that another client fetched).
        bundle: The signature; None when there is none.
        public_key: A file of one or more public keys: during a rotation the old and the new one.
        what: The version for the message, such as "Version 3 of 'churn'"; the folder by default.

    Raises:
        IntegrityError: There is no signature, it is damaged, by another key, or for other bytes.
        UsageError: The public key is none.
    """
    what = what or f"Package {folder}"
    keys = public_keys(public_key)
    if bundle is None:
        raise IntegrityError(
            f"{what} has no signature, and {public_key} demands one. "
            "Have an operator sign it (flywheel signature add), or register it again."
        )
    signer = _signer_of(bundle, what)
    if signer not in keys:
        raise IntegrityError(
            f"{what} is signed by a key that {public_key} does not hold ({signer[:12]}…). "
            "Add that key, or have the version registered again."
        )
    with tempfile.TemporaryDirectory(prefix="flywheel-signature-") as scratch:
        key, signature = Path(scratch) / "key.pub", Path(scratch) / "signature.json"
        key.write_text(keys[signer])
        signature.write_text(bundle)
        _compare(folder, signature, key, what)


def bundle_beside(folder: Path) -> Path:
    """Return where the signature of a package on this node's disk is kept: beside its folder."""
    return folder.with_name(folder.name + ".sigstore.json")


def verify_stored(folder: Path, public_key: Path, what: str = "") -> None:
    """Check a package on this node's disk against the signature that is kept beside it.

    Raises:
        IntegrityError: There is no signature, or the folder is not what was signed.
        UsageError: The public key is none.
    """
    kept = bundle_beside(folder)
    verify(folder, kept.read_text(errors="replace") if kept.is_file() else None, public_key, what)


def add_meta(folder: Path, name: str, version: str) -> None:
    """Add the file that MLflow's client adds to every version that it downloads; digest and signature cover it."""
    meta = {"model_name": name, "model_version": version}
    text = yaml.safe_dump(meta, default_flow_style=False, allow_unicode=True)
    (folder / META).write_text(text, encoding="utf-8")


def _signer_of(bundle: str, what: str) -> str:
    """Return the fingerprint that a bundle claims; whether it is true, the signature shows."""
    if len(bundle) > MAX_BUNDLE:
        raise IntegrityError(f"{what} has a signature of {len(bundle)} characters, which is none. {AGAIN}")
    try:
        hint = json.loads(bundle)["verificationMaterial"]["publicKey"]["hint"]
    except (ValueError, LookupError, TypeError, RecursionError) as fault:
        raise IntegrityError(f"{what} has a signature that cannot be read: {_line(fault)}. {AGAIN}") from fault
    if not isinstance(hint, str) or not hint:
        raise IntegrityError(f"{what} has a signature that names no key. {AGAIN}")
    return hint


def _compare(folder: Path, signature: Path, key: Path, what: str) -> None:
    # 0.45 s of imports, which only those pay who verify.
    from model_signing import hashing, verifying  # noqa: PLC0415

    # Left to itself the library ignores whatever lies at .git, .github and the like.
    every_file = hashing.Config()  # type: ignore[no-untyped-call]  # published half typed
    every_file.set_ignored_paths(paths=[], ignore_git_paths=False)
    checks = verifying.Config()  # type: ignore[no-untyped-call]
    checks.use_elliptic_key_verifier(public_key=key).set_hashing_config(every_file)
    try:
        checks.verify(folder, signature)
    except FlywheelError:
        raise
    except Exception as fault:  # a bundle is a stranger's text: the library raises whatever its parsing meets
        raise IntegrityError(f"{what} is not what was signed: {_line(fault)}. {AGAIN}") from fault


AGAIN = "Find out who changed it, and have it registered and reviewed again."


def _line(fault: Exception) -> str:
    said = " ".join(str(fault).split()).rstrip(".")
    if changed := OTHER_BYTES.findall(said):  # the library adds both digests of each, as bytes
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        before = said.partition("Hash mismatch")[0].removeprefix("Signature mismatch:").strip(" [\"',")[:200]
        return f"{f'{before}; ' if before else ''}other bytes in {', '.join(changed[:SHOWN])}{more}"
    said = said[:300]
    return said or f"the signature does not fit ({type(fault).__name__})"
