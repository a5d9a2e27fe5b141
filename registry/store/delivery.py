"""What was delivered with a version: its folder, downloaded once, for digest, origin and signature."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException

from flywheel.errors import IntegrityError
from registry.doors.artifacts import digest_of, downloaded
from registry.doors.fingerprint import fingerprint
from registry.policy.origin import read_origin
from registry.policy.rules import Measured
from registry.signing.registration import signature_or_none


@dataclass(frozen=True)
class Delivery:
    """A downloaded version.

    Args:
        location: Where its bytes lie.
        folder: Where they were downloaded to; None when they could not be.
        fault: Else why not: the end of a sentence.
        name: Of the model.
        version: The number for which `digest` was taken.
        digest: Of the folder.
        listing: The store's listing of it just before; None where that says nothing.
        signature: The server's signature under it; None where it does not sign.
    """

    location: str
    folder: Path | None
    fault: str
    name: str
    version: str
    digest: str | None
    listing: str | None = None
    signature: Mapping[str, Any] | None = None

    def signed(self, version: str) -> Mapping[str, Any] | None:
        """Return the signature for the number that the version got in the end; None where the server does not sign."""
        if self.folder is None or self.signature is None or version == self.version:
            return self.signature
        return signature_or_none(self.folder, digest_of(self.folder, self.name, version))

    def measured(self, version: str, location: str) -> Measured:
        """Return what was found, for the number and place that the version got in the end."""
        if self.folder is None:
            return Measured(self.location, fault=self.fault)
        if location != self.location:
            return Measured(location, fault="its source changed while it was registered. Register it again.")
        # Another registration may have taken the number meanwhile.
        digest = self.digest if version == self.version else digest_of(self.folder, self.name, version)
        return Measured(location, digest=digest, origin=read_origin(self.folder), listing=self.listing)


@contextmanager
def delivered(locate: Callable[[], str], name: str, version: str, *, signing: bool = False) -> Iterator[Delivery]:
    """Yield the folder of a version and its digest; why there is none is a value, no fault.

    Args:
        locate: Returns where the bytes lie.
        name: Of the model.
        version: The number that it has, or will probably get: the digest depends on it.
        signing: Whether to put the server's signature under it.
    """
    with ExitStack() as stack:
        found = _delivery(stack, locate, name, version)
        if signing and found.folder is not None and found.digest is not None:
            found = replace(found, signature=signature_or_none(found.folder, found.digest))
        yield found


def _delivery(stack: ExitStack, locate: Callable[[], str], name: str, version: str) -> Delivery:
    try:
        location = locate()
    except MlflowException as fault:
        return Delivery("", None, f"its source cannot be found: {fault.message}", name, version, None)
    try:
        listing = fingerprint(location)  # first: what changes afterwards is seen, and what changed before is measured
        folder = stack.enter_context(downloaded(location))
        return Delivery(location, folder, "", name, version, digest_of(folder, name, version), listing)
    except IntegrityError as fault:
        return Delivery(location, None, str(fault), name, version, None)
