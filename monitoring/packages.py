"""The packages of the versions that answered, from where deploy keeps them, their digests and signatures checked.

One `Packages` serves one look: each folder is read and checked once, however many parts ask for its version.
"""

from collections.abc import Mapping
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


class Packages:
    """The packages of one use case, each folder checked once.

    Args:
        home: The home folder.
        use_case: Its name.
    """

    def __init__(self, home: Path, use_case: str) -> None:
        self._home, self._use_case = home, use_case
        self._digests: dict[Path, str] = {}
        self._read: dict[Path, ModelPackage] = {}

    def answering(self, digests: Mapping[str, str]) -> dict[str, ModelPackage]:
        """Return the package of each version whose folder is here and has the digest that answered.

        Args:
            digests: By version.

        Raises:
            IntegrityError: A folder with the right digest is no package of ours, or not signed by a key that counts
                here.
        """
        found = {}
        for version, digest in digests.items():
            for folder in self._folders(version):
                if any(folder.iterdir()) and self._digest(folder) == digest:
                    found[version] = self._package(folder, version)
                    break
        return found

    def find(self, version: str) -> ModelPackage | None:
        """Return the package of a version whose folder is here and holds what its name says; None without one.

        Raises:
            IntegrityError: It is damaged, no package, or not signed by a key that counts here.
        """
        for folder in self._folders(version):
            if self._digest(folder).startswith(f"sha256:{folder.name[-SHOWN:]}"):
                return self._package(folder, version)
        return None

    def _folders(self, version: str) -> list[Path]:
        folders = sorted((self._home / "packages" / self._use_case).glob(f"{version}-*"))
        return [folder for folder in folders if folder.is_dir()]

    def _digest(self, folder: Path) -> str:
        if folder not in self._digests:
            self._digests[folder] = folder_digest(folder)
        return self._digests[folder]

    def _package(self, folder: Path, version: str) -> ModelPackage:
        if folder not in self._read:
            key = trusted_key(self._home)
            if key is not None:
                verify_stored(folder, key, f"Version {version} of '{self._use_case}'")
            self._read[folder] = read_package(folder)
        return self._read[folder]
