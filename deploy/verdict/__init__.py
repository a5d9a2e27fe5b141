"""The verdict on a canary: pure arithmetic on counts that stays valid however often one looks.

Two questions, one answer. *Is it worse?* A guard on the ratio of error rates rolls back: exact conditional-binomial
error spending (0.8 α) with an e-process as the hedge that needs no plan (0.2 α). *Is it good enough?* An e-process
against "worse by at least the margin" opens each step's gate at 1/α. No traffic is never a pass.

Flows in: a Plan fixed before the start and the state so far, with the counts since the last look. Flows out: the next
state, which is plain JSON, and a Verdict. The same looks give the same verdict, so that any decision can be replayed.
The package leans on the standard library alone, and can be taken out as it is.
"""

from deploy.verdict.judging import Call, State, Verdict, judge, promotion_evidence, replay
from deploy.verdict.looks import NOTHING, Look
from deploy.verdict.mixture import RATIOS
from deploy.verdict.plan import Plan

__all__ = [
    "NOTHING",
    "RATIOS",
    "Call",
    "Look",
    "Plan",
    "State",
    "Verdict",
    "judge",
    "promotion_evidence",
    "replay",
]
