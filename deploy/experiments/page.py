"""The report as one self-contained page: no script, no other file, light and dark."""

from html import escape
from pathlib import Path

from deploy.experiments import words
from deploy.experiments.picture import picture
from deploy.experiments.readings import Guard
from deploy.experiments.report import Report
from deploy.experiments.returns import Money
from deploy.experiments.rows import rows, titles

STYLE = (Path(__file__).parent / "page.css").read_text()
COLOURS = {"promote": "good", "roll back": "bad", "not yet": "open"}
# Of the picture, at a desk and on a phone.
SIZES = {"wide": (1000, 360), "narrow": (360, 280)}
GUARDS = {Guard.HELD: ("good", "holds"), Guard.VIOLATED: ("bad", "violated"), Guard.OPEN: ("open", "open")}


def page(report: Report) -> str:
    """Return the page's HTML."""
    name = escape(report.plan.name)
    parts = [_head(report), _arms(report), _picture(report), _guardrails(report), _shares(report), _money(report)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{name} · Flywheel</title>\n<link rel="icon" href="data:,">\n<style>\n{STYLE}</style>\n</head>\n'
        f"<body>\n<main>\n{''.join(part for part in parts if part)}</main>\n</body>\n</html>\n"
    )


def _head(report: Report) -> str:
    judgement = report.judgement
    call = judgement.decision.call.value
    asks = ' <span class="chip bad">needs a decision</span>' if judgement.decision.asks else ""
    days = "" if judgement.last.days is None else f", {judgement.last.days:.1f} days"
    when = f"{sum(judgement.last.units.values()):,} units{days}, look {judgement.look}"
    return (
        f'<header>\n<p class="kind">Experiment</p>\n<h1>{escape(report.plan.name)}</h1>\n'
        f'<p class="call"><span class="chip {COLOURS[call]}">{call}</span>{asks} <span class="when">{when}</span></p>\n'
        f"<p>{escape(judgement.decision.reason)}</p>\n</header>\n"
    )


def _arms(report: Report) -> str:
    named = titles(report)
    head = "".join(f"<th>{escape(title)}</th>" for title in named)
    body = "".join(f"<tr>{_cells(named, row)}</tr>" for row in rows(report))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    adjusted = ", adjusted by the covariate" if report.plan.covariate is not None else ""
    said = f"Gain against {escape(report.plan.control)}{adjusted}; intervals and evidence hold at all looks together."
    return _section("Arms", f'<div class="scroll">{table}</div><p class="legend">{said}</p>')


def _cells(named: tuple[str, ...], row: tuple[str, ...]) -> str:
    marked = zip(named, row, strict=True)
    return "".join(f'<td data-title="{escape(title)}">{escape(cell)}</td>' for title, cell in marked)


def _picture(report: Report) -> str:
    if report.judgement.ratio.mismatch:
        return ""
    drawn = "".join(
        f'<div class="{name}">{one}</div>' for name, size in SIZES.items() if (one := picture(report, *size))
    )
    names = report.plan.challengers
    keys = " ".join(f'<span class="key arm{number % 4}">{escape(arm)}</span>' for number, arm in enumerate(names))
    said = f'<p class="legend">{keys} against {escape(report.plan.control)}; the bands hold at all looks together.</p>'
    return _section("Gain over time", drawn + said) if drawn else ""


def _guardrails(report: Report) -> str:
    if report.judgement.ratio.mismatch:
        return ""
    items = []
    for one in report.judgement.arms:
        for guard in one.guardrails:
            colour, known = GUARDS[guard.state]
            said = f"worse by {words.interval(guard.harm)}, may be by {words.tick(guard.margin)}"
            items.append(
                f'<li><span class="chip {colour}">{known}</span> <b>{escape(guard.name)}</b> of {escape(one.arm)}:'
                f" {said}</li>"
            )
    return _section("Guardrails", f"<ul>{''.join(items)}</ul>") if items else ""


def _shares(report: Report) -> str:
    judgement = report.judgement
    total = sum(judgement.last.units.values()) or 1
    parts = [
        f"<b>{escape(arm)}</b> {100 * count / total:.2f} % of {report.plan.shares[arm]:g} %"
        for arm, count in judgement.last.units.items()
    ]
    colour, found = ("bad", "mismatch") if judgement.ratio.mismatch else ("good", "as planned")
    said = f'<p><span class="chip {colour}">{found}</span> {", ".join(parts)} (p {judgement.ratio.p_value:.2g})</p>'
    if judgement.last.contaminated:
        said += f"<p>{judgement.last.contaminated:,} units were seen in several arms and are left out.</p>"
    return _section("Shares", said)


def _money(report: Report) -> str:
    return "".join(_section(f"Return of {escape(one.arm)}", _amounts(one)) for one in report.money)


def _amounts(one: Money) -> str:
    of = escape(one.currency)
    rows = [
        ("gain a month", f"{words.money(one.gain[0])} {of}", _between(one.gain)),
        ("cost a month", f"{words.money(one.cost)} {of}", ""),
        ("return a month", f"{words.money(one.net[0])} {of}", _between(one.net)),
    ]
    if one.once:
        rows.append((f"{words.money(one.once)} {of} paid back in", words.months(one.months[0]), words.back(one)))
    cells = "".join(f"<tr><th>{title}</th><td>{said}</td><td>{ends}</td></tr>" for title, said, ends in rows)
    return f'<table class="amounts"><tbody>{cells}</tbody></table>'


def _between(amounts: tuple[float, float, float]) -> str:
    return f"{words.money(amounts[1])} to {words.money(amounts[2])}"


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n{body}\n</section>\n"
