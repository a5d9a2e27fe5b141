"""Gathers a version's lineage: everything that is needed to train it again, and its semantic version."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from flywheel.package import Lineage
from training.data.dataset import Dataset
from training.data.frame_digest import fingerprint
from training.packaging.champion import Predecessors
from training.packaging.contributors import contributed
from training.packaging.lineage import file_digest, git_state, package_versions, python_version, span, text_digest
from training.packaging.versioning import Made, NextVersion, made_from, next_version
from training.prepare import Prepared
from training.search.plan import SearchPlan
from training.search.search import Found


@dataclass(frozen=True)
class Grounds:
    """What a lineage is made of: the prepared use case, its search, the versions before it, its run and its lock."""

    prepared: Prepared
    plan: SearchPlan
    found: Found
    dataset: Dataset
    before: Predecessors
    run_id: str
    lock: str


def make_lineage(grounds: Grounds) -> tuple[Lineage, str]:
    """Return where the version comes from, and the text of all uncommitted changes ("" for none)."""
    prepared, plan, found = grounds.prepared, grounds.plan, grounds.found
    usecase, split, git = prepared.usecase, prepared.split, git_state(prepared.home)
    numbered, champion, rows = _numbered(grounds), grounds.before.champion, fingerprint(split.rows)
    who = contributed(prepared.home, git, None if champion is None else champion.package.lineage.git_commit)
    lineage = Lineage(
        usecase=usecase.name,
        as_of=prepared.as_of,
        trained_at=datetime.now(UTC).replace(tzinfo=None),
        run_id=grounds.run_id,
        study=plan.study,
        trials=len(found.trials),
        seed=plan.seed,
        family=found.family.name,
        params=dict(found.params),
        data_digest=rows.digest,
        data_rows=split.rows.height,
        usecase_digest=file_digest(prepared.path),
        source_digest=prepared.origin.digest or "",
        features_digest=_features_digest(prepared),
        git_commit=git.commit,
        git_dirty=git.dirty,
        python=python_version(),
        packages=package_versions(),
        version=numbered.version,
        version_reason=numbered.reason,
        parent=None if champion is None else champion.version,
        flavor=found.family.flavor,
        metric=plan.metric,
        seeds=tuple(range(plan.seeds)) if plan.seeds > 1 else (plan.seed,),
        threads=plan.threads,
        usecase_path=_place(prepared.path),
        source=prepared.origin.as_json(),
        columns=dict(rows.columns),
        parts={
            name: span(split.frame(rows), split.time)
            for name, rows in (("train", split.train), ("validation", split.validation), ("test", split.test))
        },
        cut=split.cut,
        diff_digest=git.diff_digest,
        lock_digest=text_digest(grounds.lock),
        contract_digest=text_digest(prepared.contract.model_dump_json()),
        contributors=who.addresses,
        contributors_since=who.since,
        contributors_unknown=who.unknown,
    )
    return lineage, git.diff


def _place(path: Path) -> str:
    """Name the use case's file from the project's folder, where training runs: another checkout has it there too."""
    whole, here = path.resolve(), Path.cwd()
    return str(whole.relative_to(here) if whole.is_relative_to(here) else whole)


def _features_digest(prepared: Prepared) -> str:
    return file_digest(prepared.home / prepared.usecase.features)


def _numbered(grounds: Grounds) -> NextVersion:
    prepared, newest = grounds.prepared, grounds.before.newest
    made = Made("", prepared.usecase, prepared.contract, _features_digest(prepared), grounds.found.family.name)
    return next_version(made, None if newest is None else made_from(newest.package))
