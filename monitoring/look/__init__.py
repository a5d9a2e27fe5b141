"""One look at a use case: all that monitoring knows, at one time; what the schedule does, and people by hand.

look.py       the order of things, and what a part that fails does to the others: nothing
by_hand.py    one window that a person names, and what follows from it
again.py      a look where nothing has changed: what the last one found, told again
kept.py       what a look leaves for that; lasting.py says until when it holds
parts.py      what each part is called; telling.py shows it on a terminal
looked.py     what a look has found; told.py says it in lines
recent.py     what the newest answers are worth: realised, and estimated
estimated.py  the verdict on the newest window before its outcomes
due.py        which windows have anything new
budget.py     how drift and the losses share the budget of false alarms
drifting.py   a version's blocks against those it was trained on
released.py   a new version's first days against those it was trained on
recalibrating.py  by how much answers are moved until the next look
inputs.py     the newest rows: replayed, complete, fresh, usual
outages.py    columns without values: since when, until when
columns.py    what is told of them: one finding a trouble
alarms.py     what is told of drift: what holds or is recent
findings.py   other decisions as findings, for alerts; gathering.py  all of them
pages.py      what people see of it, in MLflow; trail.py  the evidence of looks before
"""
