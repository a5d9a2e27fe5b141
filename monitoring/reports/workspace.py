"""Evidently's workspace: the same reports as on monitoring's runs, over time, a project a use case.

    HOME/evidently        read by the program `evidently`, which `flywheel up` starts and `flywheel status` names
    HOME/evidently/NAMES  which run has which name, by project: Evidently finds a run by its number alone

Imported by the report's process alone, where Evidently is.
"""

import fcntl
import json
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    # The reasons are in `monitoring.reports.report`, which imports Evidently first.
    warnings.simplefilter("ignore", DeprecationWarning)
    from evidently.sdk.models import PanelMetric
    from evidently.sdk.panels import line_plot_panel
    from evidently.ui.workspace import Workspace

NAMES = ".names.json"
KEPT = 200  # runs of a project; older ones go, each is about a third of a megabyte
PANELS = {
    "Share of columns that Evidently calls drifted": PanelMetric(
        legend="share", metric="DriftedColumnsCount", metric_labels={"value_type": "share"}
    ),
    "Columns that Evidently calls drifted": PanelMetric(
        legend="columns", metric="DriftedColumnsCount", metric_labels={"value_type": "count"}
    ),
}


def open_workspace(folder: Path) -> Any:
    """Return Evidently's workspace in a folder."""
    return Workspace.create(str(folder))


def keep(folder: Path, use_case: str, snapshots: Mapping[str, Any]) -> None:
    """Add runs to a use case's project, which is made with its panels at the first; each in place of its namesake.

    Args:
        folder: Of the workspace.
        use_case: Names the project.
        snapshots: Evidently's, by what they are about, such as "drift, 2013-04-01 to 2013-05-01"; each carries its own
            time. A name without a window is no other's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        workspace = open_workspace(folder)
        project = next((one for one in workspace.list_projects() if one.name == use_case), None)
        if project is None:
            project = workspace.create_project(use_case, "Evidently's reports; decisions are monitoring's own.")
            for title, metric in PANELS.items():
                project.dashboard.add_panel(line_plot_panel(title=title, values=[metric], size="half"))
            project.save()
        for name, snapshot in snapshots.items():
            added = workspace.add_run(project.id, snapshot, include_data=False, name=name)
            _replace(folder, workspace, project.id, name, str(added.id))
        _forget_old(workspace, project.id)


def _replace(folder: Path, workspace: Any, project: Any, name: str, run: str) -> None:
    """Note whose name a run has, and remove the one that had it before: a window that is judged again is one window."""
    if "," not in name:
        return
    path, names = folder / NAMES, dict[str, dict[str, str]]()
    with suppress(OSError, ValueError):  # lost or damaged, it costs a report that stands there twice
        names = json.loads(path.read_text())
    own = names.setdefault(str(project), {})
    before, own[name] = own.get(name), run
    new = path.with_name(NAMES + ".new")
    new.write_text(json.dumps(names))
    new.replace(path)
    if before in {str(one) for one in workspace.list_runs(project)}:
        workspace.delete_run(project, uuid.UUID(before))


def _forget_old(workspace: Any, project: Any) -> None:
    runs = list(workspace.list_runs(project))
    for run in sorted(runs)[: max(len(runs) - KEPT, 0)]:  # ids are UUIDv7, so in order of time
        workspace.delete_run(project, run)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the workspace: it has no lock of its own, and two use cases may be reported on at once."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
