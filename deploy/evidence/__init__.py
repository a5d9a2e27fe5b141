"""What the prediction log says of a rollout, look by look: the documents that the verdict takes.

    reader      rows that are new since a cursor: the only I/O
    plan        what is looked at, fixed before the start
    cursor      how far the looks have come, as JSON
    meeting     two kinds of rows that belong together and come in any order
    fold        all that is still waiting for something, and what became known with the new rows
    users, predicted, losses, values, shadow    documents of one metric each
    evidence    wires them
    references  what a plan is made from: the champion's recent past

All but `reader`, `evidence` and `references` are pure functions of frames.
"""
