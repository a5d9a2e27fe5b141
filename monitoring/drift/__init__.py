"""Has anything changed, and is it more than chance? The map, from rows of a profile to a sentence.

streams.py    a block's profile -> one number a stream: means, spreads, shares, correlations, rows
calendar.py   what the calendar explains: weekday, hour, holidays, season, trend
whitening.py  what is expected of the next block, learned for ever
tails.py      how heavy surprises' tails are, and what streams have in common
evidence.py   e-detectors that may be looked at after every block
watch.py      all of that for all kinds of streams: learn a reference, take a block, raise an alarm
decision.py   the verdict on some blocks, with its reasons
state.py      a watch as bytes, so that tomorrow goes on where today ended
plot.py       the picture of a decision
file.py       anybody's files
"""
