"""How a use case's budget of false alarms is shared by the two tests that a look makes of it.

Both look after every block, so each spends what it is given; with shares of one budget they keep it together, however
they depend on each other (a union bound). Drift has four fifths: it comes without outcomes, days before anything else
is known, and its budget is thin, over all columns. A change of the loss is one stream, and windows that show harm find
what matters of it beside this test.
"""

from flywheel.monitor_spec import Drift

DRIFT, CONCEPT = 0.8, 0.2  # of `false_alarms_per_year`


def drift_settings(settings: Drift) -> Drift:
    """Return the settings of the watch over data, with its share of the budget."""
    return settings.model_copy(update={"false_alarms_per_year": DRIFT * settings.false_alarms_per_year})


def concept_alarms(settings: Drift) -> float:
    """Return how many false alarms a year the test on losses may give."""
    return CONCEPT * settings.false_alarms_per_year
