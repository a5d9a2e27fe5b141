"""The gate store of this server process, for routes."""

from mlflow.server import handlers

from registry.store.gate import GateStore


def gate_store() -> GateStore:
    """Return the store that MLflow's handlers use."""
    store: GateStore = handlers._get_model_registry_store()
    return store
