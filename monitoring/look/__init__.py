"""One look at a use case: all that monitoring knows, at one time; what the schedule does, and people by hand.

look.py       the order of things, and what a part that fails does to the others: nothing
looked.py     what a look has found
recent.py     what the newest answers are worth: realised, and estimated
due.py        which windows have anything new, and their judgement
budget.py     how drift and the losses share the budget of false alarms
drifting.py   a version's blocks against those it was trained on
inputs.py     the newest rows: replayed, complete, fresh, usual
outages.py    columns without values: since when, until when
columns.py    what is told of them: one finding a trouble
alarms.py     what is told of drift: what holds or is recent
findings.py   other decisions as findings, for alerts
pages.py      what people see of it, in MLflow
"""
