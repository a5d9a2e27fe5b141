"""The stack's own key pair: the server signs packages with it, and whoever loads one verifies by its public half."""

import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec

from flywheel.connections import write_private
from flywheel.errors import StackError
from flywheel.settings import Settings
from flywheel.signing import PUBLIC_KEY, VERIFY_KEY

PRIVATE_KEY = "run/signing.pem"
# What an operator sets instead of the stack's own key; registry.signing.signer says what each means.
OF_THE_OPERATOR = ("FLYWHEEL_SIGNING_KEY", "FLYWHEEL_SIGNER", "FLYWHEEL_SIGNING_PASSWORD", VERIFY_KEY)


def make_keys(settings: Settings) -> None:
    """Make the pair unless it is there: HOME/run/signing.pem (mode 600) and HOME/signing.pub.

    The public file may hold older keys too, whose signatures go on counting: it is only ever added to.

    Raises:
        StackError: The private key is damaged.
    """
    path, public = settings.root / PRIVATE_KEY, settings.root / PUBLIC_KEY
    if not path.exists():
        fresh = ec.generate_private_key(ec.SECP256R1())
        pem = fresh.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        write_private(path, pem.decode())
    own = _public_half(path)
    known = public.read_text() if public.exists() else ""
    if own not in known:
        public.write_text(known + own)


def server_environment(settings: Settings) -> dict[str, str]:
    """Return what the server needs to sign: the operator's settings if there are any, else the stack's own key."""
    given = {name: os.environ[name] for name in OF_THE_OPERATOR if os.environ.get(name)}
    own = {"FLYWHEEL_SIGNING_KEY": str(settings.root / PRIVATE_KEY), VERIFY_KEY: str(settings.root / PUBLIC_KEY)}
    return given if {"FLYWHEEL_SIGNING_KEY", "FLYWHEEL_SIGNER"} & given.keys() else own | given


def _public_half(path: Path) -> str:
    try:
        private = form.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as fault:
        raise StackError(
            f"Signing key {path} is damaged: {fault}. Restore it, or remove it to make another."
        ) from fault
    public = private.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    return public.decode()
