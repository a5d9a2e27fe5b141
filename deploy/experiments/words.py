"""How numbers and standings are said to people."""

import math

from deploy.experiments.differences import Difference
from deploy.experiments.readings import Guard, Guarded, Reading, Standing
from deploy.experiments.returns import Money

STANDINGS = {
    Standing.CONTROL: "control",
    Standing.STOP: "stop",
    Standing.BETTER: "better",
    Standing.WORSE: "no gain",
    Standing.OPEN: "open",
}

# Beyond e^20.8 = 1e9 nobody needs to know how much evidence there is.
MANY = math.log(1e9)


def number(value: float) -> str:
    """Return a number with four digits that count, and separators."""
    if not math.isfinite(value):
        return "any"
    if value and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}"
    digits = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{digits}f}"


def signed(value: float) -> str:
    """Return a number with its sign."""
    return f"{'+' if value > 0 else ''}{number(value)}"


def interval(one: Difference) -> str:
    """Return the ends of an interval, or that there is none yet."""
    return f"{signed(one.low)} to {signed(one.high)}" if math.isfinite(one.high) else "not yet"


def lift(reading: Reading) -> str:
    """Return the gain in per cent of the control's mean, with its interval."""
    part = reading.lift
    if not math.isfinite(part.high):
        return "–"
    return f"{100 * part.estimate:+.2f} % ({100 * part.low:+.2f} to {100 * part.high:+.2f})"


def evidence(one: Difference) -> str:
    """Return the p-value, and the e-value it is made of."""
    if not math.isfinite(one.high):
        return "–"
    if one.log_evidence > MANY:
        return "p < 1e-9"
    return f"p {one.p_value:.2g} (e {one.e_value:.3g})"


def guard(one: Guarded) -> str:
    """Return what is known of a guardrail."""
    known = {Guard.HELD: "holds", Guard.VIOLATED: "violated", Guard.OPEN: "open"}[one.state]
    return f"{one.name} {known}: worse by {interval(one.harm)}, may be by {tick(one.margin)}"


def months(one: float | None) -> str:
    """Return a time to pay back."""
    return "never" if one is None else f"{one:,.1f} months"


def back(one: Money) -> str:
    """Return the ends of the time to pay back, the best first; '' where even the best is never."""
    best, worst = one.months[1], one.months[2]
    if best is None:
        return ""
    return f"{best:,.1f} to {months(worst) if worst is not None else 'never'}"


def money_lines(one: Money) -> list[str]:
    """Return what an arm is worth."""
    of = one.currency
    gain, low, high = one.gain
    net, net_low, net_high = one.net
    said = [
        f"gain {money(gain)} {of} a month ({money(low)} to {money(high)}), cost {money(one.cost)} {of}",
        f"return {money(net)} {of} a month ({money(net_low)} to {money(net_high)})",
    ]
    if one.once:
        said.append(f"{money(one.once)} {of} are {_paid_back(one)}")
    return said


def _paid_back(one: Money) -> str:
    estimate, best, _ = one.months
    if best is None:
        return "never paid back"
    return f"paid back in {months(estimate)} ({back(one)})" if estimate is not None else f"not paid back ({back(one)})"


def money(value: float) -> str:
    """Return an amount without cents."""
    return f"{value:,.0f}"


def tick(value: float) -> str:
    """Return a round number, as at an axis or in a plan."""
    return f"{value:,.6g}" if abs(value) > 1e-12 else "0"


def one_line(sentence: str) -> str:
    """Return a sentence in one line, whatever a file's own words are."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in sentence)
