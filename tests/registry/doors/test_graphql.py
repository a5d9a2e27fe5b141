"""GraphQL: it looks, within what the caller may see, and changes nothing."""

from typing import TYPE_CHECKING

import pytest

from tests.registry.doors.conftest import ADMINISTRATOR, AUTHOR, REVIEWER, STRANGER, Knock, stage

if TYPE_CHECKING:
    from tests.registry.conftest import Server

CHANGES = [
    'mutation { mlflowTransitionModelVersionStage(input: {name: "NAME", version: "1", stage: "Production"}) { x } }',
    'mutation { setRegisteredModelAlias(name: "NAME", alias: "champion", version: "1") { x } }',
    'mutation A { testMutation(inputString: "x") { output } } mutation B { transitionStage(name: "NAME") { x } }',
]


@pytest.mark.parametrize("query", CHANGES)
@pytest.mark.parametrize("user", [AUTHOR, REVIEWER, ADMINISTRATOR])
def test_a_mutation_that_would_change_something_does_not_exist(
    server: "Server", knock: Knock, model: str, query: str, user: str
) -> None:
    version = server.register(model, AUTHOR)
    answer = knock(user, "POST", "/graphql", {"query": query.replace("NAME", model), "operationName": None})
    assert "Cannot query field" in answer.body or "Must provide operation name" in answer.body, answer
    assert stage(server, model, version) == "None"
    assert server.version(model, version).get("aliases", []) == []


@pytest.mark.parametrize("user", [AUTHOR, REVIEWER, ADMINISTRATOR])
def test_queries_are_answered_to_whoever_is_logged_in(knock: Knock, user: str) -> None:
    answer = knock(user, "POST", "/graphql", {"query": '{ test(inputString: "hello") { output } }'})
    assert (answer.status, "hello" in answer.body) == (200, True)
    assert knock(STRANGER, "POST", "/graphql", {"query": "{ test { output } }"}).status == 401
