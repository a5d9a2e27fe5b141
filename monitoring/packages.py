"""The packages of the versions that answered in a window, from where deploy keeps them, their digests checked again."""

from pathlib import Path

import polars as pl

from flywheel.digest import folder_digest
from flywheel.package import ModelPackage, read_package
from flywheel.signing import trusted_key, verify_stored

SHOWN = 12  # digits of its digest that a package's folder has after its version


def digests_by_version(rows: pl.DataFrame) -> dict[str, str]:
    """Return the digest that each `model_version` reported, the version with most rows first."""
    keys = ["model_version", "model_digest"]
    counted = rows.group_by(keys).agg(pl.len().alias("rows")).sort(["rows", *keys], descending=True)
    return {str(version): str(digest) for version, digest in counted.select(keys).iter_rows()}


def read_packages(home: Path, use_case: str, digests: dict[str, str]) -> dict[str, ModelPackage]:
    """Return the package of each version whose folder is here and has the digest that answered.

    Args:
        home: The home folder.
        use_case: Its name.
        digests: By version.

    Raises:
        IntegrityError: A folder with the right digest is no package of ours, or not signed by a key that counts here.
    """
    found, key = {}, trusted_key(home)
    for version, digest in digests.items():
        for folder in sorted((home / "packages" / use_case).glob(f"{version}-*")):
            if folder.is_dir() and any(folder.iterdir()) and folder_digest(folder) == digest:
                if key is not None:
                    verify_stored(folder, key, f"Version {version} of '{use_case}'")
                found[version] = read_package(folder)
                break
    return found


def find_package(home: Path, use_case: str, version: str) -> ModelPackage | None:
    """Return the package of a version whose folder is here and holds what its name says; None where there is none.

    Raises:
        IntegrityError: It is damaged, no package, or not signed by a key that counts here.
    """
    for folder in sorted((home / "packages" / use_case).glob(f"{version}-*")):
        if folder.is_dir() and folder_digest(folder).startswith(f"sha256:{folder.name[-SHOWN:]}"):
            key = trusted_key(home)
            if key is not None:
                verify_stored(folder, key, f"Version {version} of '{use_case}'")
            return read_package(folder)
    return None
