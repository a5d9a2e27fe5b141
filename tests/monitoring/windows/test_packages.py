from datetime import timedelta
from pathlib import Path

import polars as pl

from flywheel.digest import folder_digest
from flywheel.package import BLOCKS, INSIDE
from flywheel.profile import Reference
from flywheel.profiling.profile import profile_rows
from flywheel.profiling.scale import Scale
from flywheel.profiling.series_file import series_bytes
from monitoring.packages import Packages
from monitoring.windows.keys import Key
from monitoring.windows.packages import PackageLenses
from monitoring.windows.store import BlockStore
from monitoring.windows.update import Source, Update, update_blocks
from tests.monitoring.flights_log import NAME, Flight, write_log
from tests.monitoring.flights_package import USE_CASE, write_model
from tests.monitoring.windows.block_log import AT, DAY

REFERENCE = Reference(loss=0.5, standard_error=0.01, rows=100)


def package(home: Path, version: str, blocks: bytes | None) -> None:
    folder = write_model(home / "packages" / NAME / f"{version}-new", REFERENCE, USE_CASE)
    if blocks is not None:
        (folder / INSIDE / BLOCKS).write_bytes(blocks)
    folder.rename(folder.with_name(f"{version}-{folder_digest(folder).removeprefix('sha256:')[:12]}"))


def reference() -> bytes:
    frame = pl.DataFrame({"at": [AT] * 200, "distance": [float(number) for number in range(400, 600)]})
    answers = frame.select("at", prediction=pl.col("distance") / 1000)
    series = profile_rows(frame, {"distance": "double"}, "at")
    return series_bytes(series.beside(profile_rows(answers, {"prediction": "double"}, "at")).published(), dense=True)


def updated(home: Path, *versions: str) -> Update:
    log = write_log(home / "log", [Flight(version, AT, version=version) for version in versions])
    source = Source(log, NAME, "binary", PackageLenses(Packages(home, NAME)), timedelta(days=1))
    return update_blocks(BlockStore(home, NAME), source, AT + DAY)


def test_rows_are_placed_on_the_scale_of_their_version_and_only_sketched_where_it_has_none(tmp_path: Path) -> None:
    package(tmp_path, "1", reference())
    package(tmp_path, "2", None)
    found = updated(tmp_path, "1", "2")
    store = BlockStore(tmp_path, NAME)
    new, old = store.series(Key("1", "champion")), store.series(Key("2", "champion"))
    assert new is not None
    assert old is not None
    assert new.blocks[0].numbers["distance"].count == 1
    assert old.scale == Scale(())
    assert old.blocks[0].columns["distance"].quantiles([0.5]).tolist() == [500.0]
    assert found.unprofiled == {}


def test_rows_of_a_version_without_a_sound_package_are_counted(tmp_path: Path) -> None:
    package(tmp_path, "1", reference()[:-1])
    found = updated(tmp_path, "1", "1", "7")
    assert found.unprofiled == {"1": 2, "7": 1}
    assert BlockStore(tmp_path, NAME).kept() == []
