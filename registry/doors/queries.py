"""GraphQL looks and does not change: as long as the census knows every field of MLflow's schema, that holds."""

from functools import lru_cache

from mlflow.server.graphql.graphql_schema_extensions import schema

from registry.doors.census import CENSUS, GRAPHQL


def unknown_fields() -> str | None:
    """Return why GraphQL is closed; None while everything that it offers is decided."""
    unknown = sorted(set(_fields()) - {name for method, name in CENSUS.routes if method == GRAPHQL})
    if not unknown:
        return None
    return (
        f"Refused: nobody has decided yet about GraphQL's {unknown[0]}. Ask the administrator to decide in census.txt."
    )


@lru_cache(maxsize=1)
def _fields() -> tuple[str, ...]:
    kinds = {"query": schema.graphql_schema.query_type, "mutation": schema.graphql_schema.mutation_type}
    return tuple(f"{kind}.{name}" for kind, of in kinds.items() if of for name in of.fields)
