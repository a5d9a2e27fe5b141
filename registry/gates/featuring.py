"""A program of its own: runs a package's feature function over rows, all in one call.

Run as a file (`python -I featuring.py FEATURES ROWS OUT`, both Parquet) by the model's interpreter, it imports nothing
of ours: `registry.gates.offline` starts it, because a package's code is not trusted.
"""

import importlib.util
import sys

import polars as pl


def main(features: str, rows: str, out: str) -> None:
    """Read rows, make features, write them."""
    spec = importlib.util.spec_from_file_location("features", features)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{features} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.features(pl.read_parquet(rows)).write_parquet(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
