"""Harm that is estimated before outcomes come: of a window that too few outcomes can judge, by what is expected of it.

Only an estimate that has earned it says anything: one whose past errors were smaller than those of saying the reference
each time. When the outcomes have come, the window is judged by them, and that counts instead.
"""

from typing import Any

from flywheel.usecase import UseCase
from monitoring.performance.harm import Verdict
from monitoring.performance.measure import MEASURES
from monitoring.performance.outlook import Outlook

METRIC = "log_loss"  # the only loss that scores alone let one expect, and that windows are judged by


def estimated_window(outlook: Outlook, reference: float, use_case: UseCase) -> dict[str, Any] | None:
    """Return the verdict on a window by its estimate, as the body of an event; None where it is not to be trusted.

    Args:
        outlook: Of the window.
        reference: The loss on rows that the version had not seen.
        use_case: Its margin and task.
    """
    forecast, measure = outlook.forecasts.get(METRIC), MEASURES[use_case.task]
    if forecast is None or not forecast.trusted or forecast.low is None or forecast.high is None:
        return None
    margin = measure.tolerated(use_case.monitor.retrain.margin, reference)
    low, high = forecast.low - reference, forecast.high - reference
    verdict = Verdict.HARM if low > margin else Verdict.QUIET
    shown = [measure.text(one, sign=True) for one in (forecast.value - reference, low, high, margin)]
    reason = (
        f"{measure.title} {measure.text(forecast.value)} is estimated before the outcomes of {outlook.rows:,} answers,"
        f" against the reference {measure.text(reference)}: {shown[0]}, between {shown[1]} and {shown[2]} by its past"
        f" errors; {'all of that lies above' if verdict is Verdict.HARM else 'that does not show more than'}"
        f" the tolerated {shown[3]}."
    )
    return {
        "basis": "estimated",
        "verdict": verdict.value,
        "reason": reason,
        "loss_name": measure.name,
        "loss": forecast.value,
        "low": forecast.low,
        "high": forecast.high,
        "reference": reference,
        "difference": forecast.value - reference,
        "difference_low": low,
        "difference_high": high,
        "margin": margin,
        "start": outlook.start.isoformat(),
        "end": outlook.end.isoformat(),
    }
