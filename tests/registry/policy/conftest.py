"""One store of their own for the tests of this folder; each takes models with names of its own."""

from collections.abc import Iterator

import pytest

from flywheel.settings import Settings
from tests.registry.own_store import OwnStore, own_store


@pytest.fixture(scope="module")
def own(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnStore]:
    with own_store(stack, tmp_path_factory.mktemp("own")) as found:
        yield found
