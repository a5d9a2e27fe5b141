"""The policy in force and how it changes, on a trail of their own."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from mlflow.exceptions import MlflowException

from flywheel import events
from flywheel.errors import SpecError
from flywheel.events import EventKind
from flywheel.policy import Policy
from flywheel.settings import Settings
from registry.caller import CACHED, policy_of
from registry.policy import amendment
from registry.policy.in_force import InForce, adopt_first, in_force
from tests.registry.own_store import POLICY, OwnStore, own_database, own_store

pytestmark = pytest.mark.filterwarnings("ignore:.*noload:DeprecationWarning")


def text(**changes: Any) -> str:
    return yaml.safe_dump({**POLICY, **changes})


def held(own: OwnStore) -> InForce:
    with own.store.engine.connect() as connection:
        return in_force(connection)


def refused(status: int, call: Any, *arguments: Any) -> str:
    with pytest.raises(MlflowException) as raised:
        call(*arguments)
    assert raised.value.get_http_status_code() == status, raised.value
    return str(raised.value.message)


@pytest.fixture
def fresh(stack: Settings, tmp_path: Path) -> Any:
    with own_store(stack, tmp_path / "fresh") as found:
        yield found


def test_a_policy_changes_by_proposal_and_anothers_approval_and_all_of_it_is_on_record(
    fresh: OwnStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = fresh.store.engine
    first = held(fresh)
    assert (first.number, first.by, first.digest) == (1, "admin", first.policy.digest)

    proposed = amendment.propose(engine, "ada", text(production={"approvals": 2}), "Two pairs of eyes.")
    assert (proposed.number, proposed.status, proposed.against) == (1, "open", 1)
    assert "ada proposed it, and others must approve it. These may: admin, alan, grace." in refused(
        403, amendment.approve, engine, "ada", 1, ""
    )
    assert "'olga' may not change the policy" in refused(403, amendment.approve, engine, "olga", 1, "")
    assert "There is no proposal 7" in refused(404, amendment.approve, engine, "grace", 7, "")
    assert held(fresh) == first

    other = amendment.propose(engine, "grace", text(production={"approvals_expire": "7d"}), "Fresh eyes.")
    adopted = amendment.approve(engine, "grace", 1, "Yes.")
    assert (adopted.status, [vote.by for vote in adopted.approvals]) == ("adopted", ["grace"])
    second = held(fresh)
    assert (second.number, second.by, second.policy.production.approvals) == (2, "grace", 2)
    assert second.digest == proposed.digest

    assert "Proposal 2 is stale: it changes policy 1, and policy 2 is in force now." in refused(
        409, amendment.approve, engine, "alan", other.number, ""
    )
    assert "Proposal 1 is adopted already." in refused(409, amendment.reject, engine, "alan", 1, "No.")
    assert "says already" in refused(403, amendment.propose, engine, "ada", text(production={"approvals": 2}), "Again.")
    with engine.connect() as connection:
        kinds = [event.kind for event in events.read(connection)]
        assert [proposal.status for proposal in amendment.proposals(connection).values()] == ["adopted", "stale"]
    assert kinds == [
        EventKind.POLICY_ADOPTED,
        EventKind.POLICY_PROPOSED,
        EventKind.POLICY_PROPOSED,
        EventKind.POLICY_APPROVED,
        EventKind.POLICY_ADOPTED,
    ]
    fresh.verify()
    _reopening_changes_nothing(fresh, second, capsys)


def _reopening_changes_nothing(fresh: OwnStore, second: InForce, capsys: pytest.CaptureFixture[str]) -> None:
    with fresh.store.engine.begin() as connection:
        adopt_first(connection)
    assert "says something else than the policy in force" in capsys.readouterr().out
    assert held(fresh) == second


def test_a_stricter_change_needs_as_many_as_the_policy_before_it_says(fresh: OwnStore) -> None:
    engine = fresh.store.engine
    amendment.propose(engine, "admin", text(changes={"approvals": 2}), "Two of us.")
    assert amendment.approve(engine, "grace", 1, "").status == "adopted"
    amendment.propose(engine, "admin", text(), "Back to one.")
    assert amendment.approve(engine, "grace", 2, "").status == "open"
    assert amendment.approve(engine, "grace", 2, "again").status == "open"
    assert amendment.approve(engine, "alan", 2, "").status == "adopted"
    assert held(fresh).number == 3


def test_the_approval_of_who_left_meanwhile_does_not_count(fresh: OwnStore) -> None:
    engine = fresh.store.engine
    two = {"changes": {"approvals": 2}}
    amendment.propose(engine, "admin", text(**two), "Two of us.")
    amendment.approve(engine, "grace", 1, "")
    amendment.propose(engine, "admin", text(**two, production={"approvals": 2}), "More.")
    amendment.approve(engine, "grace", 2, "")
    people = {**POLICY["people"], "grace": "viewer", "mary": "reviewer"}  # type: ignore[dict-item]
    amendment.propose(engine, "admin", text(**two, people=people), "Grace leaves.")
    amendment.approve(engine, "alan", 3, "")
    amendment.approve(engine, "grace", 3, "Farewell.")
    assert held(fresh).policy.reviewers() == {"alan", "mary"}
    assert "is stale" in refused(409, amendment.approve, engine, "alan", 2, "")


def test_a_proposal_is_rejected_by_others_or_taken_back_and_then_closed(own: OwnStore) -> None:
    engine = own.store.engine
    for who in ("grace", "ada"):
        number = amendment.propose(engine, "ada", text(production={"approvals": 2}), "Two.").number
        rejected = amendment.reject(engine, who, number, "Too slow.")
        assert rejected.status == "rejected"
        assert rejected.rejection is not None
        assert rejected.rejection.by == who
        assert "is rejected already" in refused(409, amendment.approve, engine, "alan", number, "")
    assert held(own).number == 1


def test_who_only_looks_proposes_nothing(own: OwnStore) -> None:
    assert "'vic' may not propose a policy" in refused(
        403, amendment.propose, own.store.engine, "vic", text(production={"approvals": 2}), "Two."
    )


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("people: {eve: emperor}", "role 'emperor' does not exist"),
        ("people: {ada: data_scientist}", "nobody may review"),
        ("people: {", "is no YAML"),
        ("just text", "must be a mapping"),
    ],
)
def test_a_proposal_that_could_not_work_is_refused_before_it_is_one(own: OwnStore, document: str, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        amendment.propose(own.store.engine, "ada", document, "Why not.")


def test_reads_that_decide_nothing_see_a_change_within_a_second(own: OwnStore) -> None:
    CACHED.use(own.store.engine)
    assert CACHED.read() is CACHED.read()
    assert CACHED.read().policy == held(own).policy


def test_a_trail_without_a_policy_allows_nothing(stack: Settings) -> None:
    with own_database(stack) as url:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            events.install(connection)
            assert "has no policy: set FLYWHEEL_POLICY" in refused(500, policy_of, connection)
        engine.dispose()


def test_the_documents_in_the_trail_are_whole_policies(own: OwnStore) -> None:
    with own.store.engine.connect() as connection:
        adopted = events.read(connection, EventKind.POLICY_ADOPTED)[-1]
    assert Policy.model_validate(adopted.body["document"]).digest == adopted.body["digest"]
