"""The verdict on a canary: pure arithmetic on counts and values that stays valid however often one looks.

Two questions, one answer. *Is it worse?* Guards, which share α, roll back: on errors and slow requests exact
conditional-binomial error spending with an e-process as the hedge that needs no plan, on values betting confidence
sequences. *Is it good enough?* E-processes against "worse by at least the margin" open each step's gate at 1/α. No
traffic is never a pass.

Flows in: metrics fixed before the start, and looks with what was counted since the last one (`several.Judging`). Flows
out: the next state and a call. The same looks give the same call, so that any decision can be replayed. The package
leans on the standard library alone, and can be taken out as it is.
"""

from deploy.verdict.calls import Call
from deploy.verdict.looks import NOTHING, Look
from deploy.verdict.several import Judged, Judging, StepLook, judge_metrics, judging

__all__ = ["NOTHING", "Call", "Judged", "Judging", "Look", "StepLook", "judge_metrics", "judging"]
