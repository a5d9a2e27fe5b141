"""Has anything changed, and is it more than chance? The map, from a block's profile to a sentence.

Streams: streams (one number a block for what is followed), shares (how shares are), changes (columns that vanished or
changed type). Expectation: calendar, whitening (a forecast that learns for ever), tails (how surprises are spread, what
streams share). Evidence: evidence (e-detectors), kind (all streams of one kind), relearning (after a move), watch (all
kinds: learn a reference, take a block), state (a watch as bytes). Verdict: moved (what, since when, by how much),
decision, plot.
Use: file (anybody's files), cli.
"""
