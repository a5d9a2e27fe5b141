"""The entry point by which MLflow finds the gate.

MLflow loads registry stores in every client too, where nobody opens this one. So the store, with the database libraries
behind it (2.6 s of imports), is imported when a server asks for it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.store.gate import GateStore


def open_store(store_uri: str) -> "GateStore":
    """Open the gate store on a `flywheel+postgresql+psycopg2://` address."""
    from registry.store.gate import GateStore  # noqa: PLC0415  # see above

    return GateStore(store_uri)
