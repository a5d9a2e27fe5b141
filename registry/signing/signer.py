"""Signs packages as the server registers them: with a key of its own, or by a callable that asks a key service.

The bundle is written by its public formats (in-toto statement, DSSE envelope, Sigstore bundle) around the manifest of
the OpenSSF library, so that any key service can sign; a test has the library's own verifier read it.

    FLYWHEEL_SIGNING_KEY        path of an elliptic-curve private key (PEM); FLYWHEEL_SIGNING_PASSWORD opens it
    FLYWHEEL_SIGNER             module:function instead: bytes in, their ECDSA signature (DER) out
    FLYWHEEL_VERIFY_KEY         path of the public keys that count; with FLYWHEEL_SIGNER the first is the signer's
"""

import base64
import hashlib
import importlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing

from flywheel.errors import FlywheelError, IntegrityError, UsageError
from flywheel.signing import VERIFY_KEY, public_keys

SIGNING_KEY, PASSWORD, SIGNER = "FLYWHEEL_SIGNING_KEY", "FLYWHEEL_SIGNING_PASSWORD", "FLYWHEEL_SIGNER"
# Of https://github.com/sigstore/protobuf-specs, https://in-toto.io and the library's verifier.
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
HASHES: dict[int, hashes.HashAlgorithm] = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}

Sign = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Signer:
    """One key: its public half, and what signs bytes with the other."""

    public: ec.EllipticCurvePublicKey
    sign: Sign

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the public key's PEM text, as `flywheel.signing.public_keys` and the bundle name it."""
        return hashlib.sha256(
            self.public.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
        ).hexdigest()

    def signature(self, message: bytes) -> bytes:
        """Sign, and check the signature against the public key: a key service may hold another key by mistake.

        Raises:
            IntegrityError: The signature is not by this key.
        """
        try:
            made = self.sign(message)
            self.public.verify(made, message, ec.ECDSA(HASHES[self.public.curve.key_size]))
        except FlywheelError:
            raise
        except InvalidSignature as fault:
            raise IntegrityError(
                f"The signer's signature is not by the public key in {VERIFY_KEY}. Put its own key first there."
            ) from fault
        except Exception as fault:  # a key service's client is code of others
            reason = " ".join(str(fault).split())[:200] or type(fault).__name__
            raise IntegrityError(f"The version cannot be signed: {reason}. Look at the key service.") from fault
        return made


def signature_event(folder: Path, digest: str) -> dict[str, Any] | None:
    """Sign a version's folder and return the body of its `version.signed`; None where no key is configured.

    Args:
        folder: As MLflow's client downloads the version, `registered_model_meta` included.
        digest: Of that folder.

    Raises:
        IntegrityError: The folder or the key service does not let itself be signed.
        UsageError: The settings name no usable key.
    """
    signer = configured_signer()
    if signer is None:
        return None
    return {"digest": digest, "key": signer.fingerprint, "bundle": sign_folder(folder, signer)}


def configured_signer(environment: Mapping[str, str] = os.environ) -> Signer | None:
    """Return the signer that the environment names; None without one.

    Raises:
        UsageError: What it names cannot be used.
    """
    named = tuple(environment.get(name, "") for name in (SIGNING_KEY, SIGNER, VERIFY_KEY, PASSWORD))
    return _signer(*named)


def sign_folder(folder: Path, signer: Signer) -> str:
    """Return the bundle over every file of a folder, as JSON text.

    Raises:
        IntegrityError: A file cannot be read, or is a link.
    """
    payload = json.dumps(_statement(folder), separators=(",", ":")).encode()
    head = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode()
    signature = signer.signature(head + payload)
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
    }
    material = {"publicKey": {"hint": signer.fingerprint}, "tlogEntries": []}
    return json.dumps({"mediaType": BUNDLE_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope})


def _statement(folder: Path) -> dict[str, Any]:
    """Write the library's manifest of a folder as an in-toto statement."""
    try:
        every_file = hashing.Config()  # type: ignore[no-untyped-call]  # published half typed
        manifest = every_file.set_ignored_paths(paths=[], ignore_git_paths=False).hash(folder)
    except (OSError, ValueError) as fault:
        raise IntegrityError(f"Package {folder.name} cannot be signed: {fault}. Log the model again.") from fault
    total, resources = hashlib.sha256(), []
    for file in manifest.resource_descriptors():
        total.update(file.digest.digest_value)
        found = {"name": file.identifier, "algorithm": file.digest.algorithm, "digest": file.digest.digest_hex}
        resources.append(found)
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": manifest.model_name, "digest": {"sha256": total.hexdigest()}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"serialization": manifest.serialization_type, "resources": resources},
    }


@lru_cache(maxsize=4)
def _signer(key: str, function: str, verify_key: str, password: str) -> Signer | None:
    if key:
        return _of_file(Path(key), password)
    if function:
        return _of_function(function, verify_key)
    return None


def _of_file(path: Path, password: str) -> Signer:
    try:
        private = form.load_pem_private_key(path.read_bytes(), password.encode() or None)
    except (OSError, ValueError, TypeError) as fault:  # TypeError: a password too many, or too few
        raise UsageError(
            f"{SIGNING_KEY} names {path}, which is no usable key: {fault}. Correct or unset it."
        ) from fault
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.key_size not in HASHES:
        raise UsageError(f"{SIGNING_KEY} names {path}, which is no key on curve P-256, P-384 or P-521. Make one.")
    algorithm = ec.ECDSA(HASHES[private.curve.key_size])
    return Signer(private.public_key(), lambda message: private.sign(message, algorithm))


def _of_function(name: str, verify_key: str) -> Signer:
    if not verify_key:
        raise UsageError(f"{SIGNER} needs {VERIFY_KEY}: the public key that belongs to it. Set it.")
    module, _, function = name.partition(":")
    try:
        sign = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as fault:
        raise UsageError(f"{SIGNER} names '{name}', which is no module:function: {fault}. Correct it.") from fault
    first = next(iter(public_keys(Path(verify_key)).values()))
    public = form.load_pem_public_key(first.encode())
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.key_size not in HASHES:
        raise UsageError(f"The first key in {verify_key} is not on curve P-256, P-384 or P-521. Put another first.")
    return Signer(public, sign)
