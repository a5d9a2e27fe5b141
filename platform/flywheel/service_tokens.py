"""The form of a service token, `fwt_<id>_<secret>`, which the registry issues, and registry and gateway let in.

Events hold the id and the secret's digest; the secret itself is shown once and kept nowhere.
"""

import hashlib
import re

PREFIX = "fwt_"
FORM = re.compile(r"fwt_(?P<id>[0-9a-f]{12})_(?P<secret>[0-9a-f]{64})")


def secret_digest(secret: str) -> str:
    """Return SHA-256 of a secret, as hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()
