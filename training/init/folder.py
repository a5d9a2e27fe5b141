"""The folder of a new use case: written all at once, tried out, or not there at all."""

import shutil
import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from flywheel.errors import DataError
from flywheel.schema import USECASE
from flywheel.usecase import load_usecase
from training.data.features import check_rows_alone, load_features
from training.init.draft import Draft
from training.init.feature_file import render_features
from training.init.place import placed
from training.init.rendering import SCHEMA_FILE, render_readme, render_usecase
from training.sources.rows import input_columns, load_rows


def refuse_existing(folder: Path) -> None:
    """Make sure that nothing would be overwritten.

    Raises:
        DataError: There is a file of that name, or a folder with something in it.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise DataError(f"{folder} exists already, and nothing is overwritten. Choose another with --into, or move it.")


def write_folder(draft: Draft, folder: Path, now: datetime, *, environment_complete: bool = True) -> None:
    """Write usecase.yaml, its schema, features.py and README.md, after trying them out.

    Args:
        draft: What was found.
        folder: Must not exist, or be empty.
        now: Naive UTC; rows before it are read for the trial.
        environment_complete: Whether the environment variables that the use case names are set, as the trial needs.

    Raises:
        DataError: The folder exists, or the use case would not load.
    """
    refuse_existing(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = replace(draft, source=placed(draft.source, folder))
    # A sibling, so that relative paths mean the same; renamed when it is whole.
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.absolute().parent))
    try:
        (made / "usecase.yaml").write_text(render_usecase(draft))
        (made / SCHEMA_FILE).write_text(USECASE.text())
        (made / "features.py").write_text(render_features(draft))
        (made / "README.md").write_text(render_readme(draft, str(folder)))
        if environment_complete:
            try_out(made / "usecase.yaml", draft.until or now)
        shutil.rmtree(made / "__pycache__", ignore_errors=True)
        made.chmod(0o755)  # mkdtemp's own is for nobody else
        made.replace(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def try_out(path: Path, as_of: datetime) -> None:
    """Load a use case's rows and compute their features.

    Raises:
        FlywheelError: Something of it does not work.
    """
    usecase = load_usecase(path)
    rows = load_rows(usecase.data, path.parent, as_of, usecase.task)
    check_rows_alone(
        load_features(path.parent / usecase.features), rows.select(input_columns(rows, usecase.data)), seed=1
    )
