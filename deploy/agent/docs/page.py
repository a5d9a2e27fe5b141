"""The page /docs: one HTML document with nothing loaded from anywhere, for whoever writes a client."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from deploy.agent.docs import schemas
from deploy.agent.docs.openapi import ERRORS
from deploy.agent.recording import Identity
from deploy.agent.tensors import DATATYPE_OF
from flywheel.contract import Column, Contract

STYLE = files(__package__).joinpath("page.css").read_text()


def page(identity: Identity, contract: Contract, *, feedback: bool) -> str:
    """Return the page."""
    row = schemas.example_row(contract)
    name = escape(identity.use_case)
    parts = [
        f"<h1>{name} <small>version {escape(identity.version)}</small></h1>",
        f"<p>Package <code>{escape(identity.digest)}</code>. Machine-readable: "
        '<a href="openapi.json">openapi.json</a>, OpenAPI 3.1.</p>',
        "<h2>A row</h2>",
        _table(("column", "type", "tensor", "null", "values"), [_column(column) for column in contract.columns]),
        _keys(contract),
        "<h2>The answer</h2>",
        _table(
            ("output", "type", "tensor"),
            [
                (f"<code>{escape(output.name)}</code>", output.type, DATATYPE_OF[output.type])
                for output in contract.outputs
            ],
        ),
        "<p>Headers name the version (<code>x-flywheel-version</code>), the request (<code>x-request-id</code>) and "
        "each prediction (<code>x-flywheel-prediction-id</code>), which is what an outcome is reported with.</p>",
        "<h2>MLflow&#x27;s protocol</h2>",
        _request("POST", "invocations", {"dataframe_records": [row]}),
        _split(row),
        "<p>Also <code>instances</code>, <code>inputs</code>, and CSV with a header row as <code>text/csv</code>; an "
        "empty field is a missing value.</p>",
        "<h2>Open Inference Protocol</h2>",
        _request("POST", f"v2/models/{identity.use_case}/infer", {"inputs": schemas.example_tensors(contract)}),
        "<p>One tensor a column, of the shape [N] or [N, 1]; JSON, or binary behind "
        "<code>Inference-Header-Content-Length</code>. Over gRPC the same: "
        "<code>inference.GRPCInferenceService</code>, where its port is open.</p>",
        *([_feedback()] if feedback else []),
        "<h2>Refusals</h2>",
        _table(("status", "meaning"), [(str(code), _marked(meaning)) for code, meaning in ERRORS.items()]),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{name}</title>'
    styled = f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head>'
    return f"{styled}<body><main>{''.join(parts)}</main></body></html>"


def _column(column: Column) -> Sequence[str]:
    return (
        f"<code>{escape(column.name)}</code>",
        column.type,
        DATATYPE_OF[column.type],
        "yes" if column.nullable else "no",
        _values(column),
    )


def _values(column: Column) -> str:
    if column.categories is not None:
        said = ", ".join(f"<code>{escape(value)}</code>" for value in column.categories)
    else:
        bounds = (("at least", column.lower), ("at most", column.upper))
        said = ", ".join(f"{word} {escape(str(bound))}" for word, bound in bounds if bound is not None)
    return f"{said} <em>(others are flagged)</em>" if said and column.breach == "flag" else said


def _keys(contract: Contract) -> str:
    names = " and ".join(f"<code>{escape(key)}</code>" for key in schemas.keys(contract))
    return f"<p>A row may also carry {names}: recorded with the prediction, not scored.</p>" if names else ""


def _feedback() -> str:
    outcome = {"prediction_id": "…", "outcome": 1, "event_time": schemas.EXAMPLE_TIME}
    return (
        "<h2>Outcomes</h2>"
        + _request("POST", "feedback", outcome)
        + "<p>By prediction id, or by <code>entity</code>. The same outcome sent twice counts once.</p>"
    )


def _split(row: dict[str, Any]) -> str:
    return _request("POST", "invocations", {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}})


def _request(method: str, path: str, body: dict[str, Any]) -> str:
    return f"<pre><b>{method} /{escape(path)}</b>\n{escape(_written(body))}</pre>"


def _written(body: dict[str, Any]) -> str:
    """Write JSON as a person would: a line for each thing of the outer two levels, and none for a single number."""
    ((name, content),) = body.items() if len(body) == 1 else ((None, body),)
    if isinstance(content, list):
        lines = ",\n".join(f"    {_line(item)}" for item in content)
        return f'{{\n  "{name}": [\n{lines}\n  ]\n}}'
    indent = "  " if name is None else "    "
    lines = ",\n".join(f'{indent}"{key}": {_line(value)}' for key, value in content.items())
    return f"{{\n{lines}\n}}" if name is None else f'{{\n  "{name}": {{\n{lines}\n  }}\n}}'


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _marked(text: str) -> str:
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


def _table(header: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
