"""What the prediction log says of a rollout, look by look: the documents that the verdict takes.

    reader      rows that are new since a cursor: the only I/O
    plan        what is looked at, fixed before the start
    cursor      how far the looks have come, as JSON
    arms        what a record or a line is evidence of
    meeting     two kinds of rows that belong together and come in any order
    seen        names that have been seen, such as those of units
    waiting     all that waits for its other half, and for how long
    fold        what becomes known with new rows; of outcomes by `learning`, of a shadow by `mirrored`
    documents   a look, of metric by metric: `users`, `predicted`, `losses` and `values`, `shadow`
    evidence    wires them
    references  what a plan is made from: the champion's recent past
    lasting     the losses of what is live, long after its rollout

All but `reader`, `evidence`, `references` and `lasting` are pure functions of frames.
"""
