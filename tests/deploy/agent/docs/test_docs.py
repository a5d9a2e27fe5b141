"""The agent's own documentation: what it promises is what the agent does, and it shows nothing that it should not."""

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import orjson
import pytest
from jsonschema_rs import Draft202012Validator

from deploy.agent.docs.schemas import example_row, row_schema
from flywheel.contract import Column, Contract
from flywheel.errors import ContractError
from tests.deploy.agent.rest.serving import serving
from tests.deploy.conftest import RunningAgent, row, status_of
from tests.deploy.tiny_contract import CONTRACT

LIMITED = Contract(
    columns=(
        Column(name="at", type="datetime", nullable=False, minimum=0),
        Column(name="chance", type="double", nullable=True, minimum=-1.5, maximum=2.5),
        Column(name="count", type="long", nullable=False, minimum=1),
        Column(name="mood", type="string", nullable=True, categories=("calm", "<b>wild</b>")),
        Column(name="free", type="string", nullable=False, categories=("a",), breach="flag"),
        Column(name="open", type="boolean", nullable=True),
    ),
    event_time="at",
    entity="key",
    subject="who",
)
GOOD = {"at": "2013-01-01T05:00:00Z", "chance": 0.5, "count": 3, "mood": "calm", "free": "b", "open": None}


async def document(contract: Contract = CONTRACT) -> dict[str, Any]:
    async with serving(contract) as served:
        found: dict[str, Any] = orjson.loads((await served.ask("/openapi.json", method="GET")).body)
    return found


async def test_each_example_of_the_document_is_answered() -> None:
    paths = (await document())["paths"]
    async with serving() as served:
        for path in ("/invocations", "/v2/models/tiny/infer", "/v2/models/tiny/versions/1/infer"):
            for kind, content in paths[path]["post"]["requestBody"]["content"].items():
                if (example := content.get("example")) is not None:
                    body = example.encode() if isinstance(example, str) else example
                    answer = await served.ask(path, body, content_type=kind)
                    assert answer.status == 200, (path, kind, answer.body)


async def test_the_document_names_every_path_and_the_page_is_one_document() -> None:
    async with serving() as served:
        paths = orjson.loads((await served.ask("/openapi.json", method="GET")).body)["paths"]
        page = await served.ask("/docs", method="GET")
        for path, methods in paths.items():
            (method,) = methods
            if method == "get":
                assert (await served.ask(path, method="GET")).status in (200, 503), path
    assert page.content_type == b"text/html; charset=utf-8"


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"chance": None},
        {"chance": 2.6},
        {"chance": "1"},
        {"count": 0},
        {"count": 1.5},
        {"count": None},
        {"mood": "loud"},
        {"mood": None},
        {"open": 1},
        {"extra": 1},
        {"key": 7},
        {"who": ""},
    ],
)
def test_the_schema_of_a_row_accepts_what_the_contract_accepts(change: dict[str, Any]) -> None:
    given = GOOD | change
    try:
        LIMITED.validate_row(given)
        fits = True
    except ContractError:
        fits = False
    assert Draft202012Validator(row_schema(LIMITED)).is_valid(given) == fits


def test_an_example_keeps_the_contract() -> None:
    assert LIMITED.validate_row(example_row(LIMITED)).flags == []
    assert CONTRACT.validate_row(example_row(CONTRACT)).flags == []


class Loads(HTMLParser):
    """Collects what a page would load, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag in ("script", "link", "img", "iframe") or "src" in named:
            self.loaded.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_the_page_shows_the_contract_and_loads_nothing() -> None:
    async with serving(LIMITED) as served:
        page = await served.ask("/docs", method="GET")
    reader = Loads()
    reader.feed(page.body.decode())
    assert reader.loaded == []
    for said in ("<b>wild</b>", "at least -1.5, at most 2.5", "others are flagged", "key and who"):
        assert said in reader.text
    assert "default-src 'none'" in dict(page.headers)[b"content-security-policy"].decode()


async def test_pages_can_be_turned_off_and_errors_never_show_the_schema() -> None:
    async with serving(docs=False) as served:
        assert (await served.ask("/openapi.json", method="GET")).status == 404
        assert (await served.ask("/docs", method="GET")).status == 404
        answer = await served.ask("/invocations", {"instances": [row(chance="x")]})
    assert answer.status == 422
    assert not {b"mood", b"gap", b"key"} & {word for word in (b"mood", b"gap", b"key") if word in answer.body}


def test_serving_yaml_turns_the_pages_off(start_agent: Callable[..., RunningAgent]) -> None:
    agent = start_agent("http://127.0.0.1:1", wait=False, options=("--serving", '{"docs": false}'))
    assert [status_of(f"{agent.url}{path}") for path in ("/docs", "/openapi.json", "/v2")] == [404, 404, 200]
