"""A/B/n tests by a business measure: pure statistics on per-unit sums that stay valid however often one looks.

Flows in: a plan fixed before the start (`plan`), and looks, each with all that is known at its time (`looks`), from a
table of units or from the prediction log. Flows out: a judgement (`judging`), its report, and the return in money.
"""
