"""The header `traceparent`: what is read of it, and that nothing else is."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.agent.telemetry.traceparent import Traceparent, read_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01".encode()
IDS = st.builds(Traceparent, st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
# Written from the specification's own words, apart from the code: fields of fixed width in small hex digits.
WELL_FORMED = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.DOTALL)


@settings(deadline=None)
@given(IDS)
def test_what_is_written_is_what_is_read(span: Traceparent) -> None:
    assert read_traceparent(str(span).encode()) == span


@settings(deadline=None)
@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_garbage_is_no_caller(value: bytes) -> None:
    assert read_traceparent(value) is None or WELL_FORMED.match(value)


@settings(deadline=None)
@given(st.integers(0, len(VALID) - 1), st.binary(max_size=2))
def test_a_value_with_a_fault_anywhere_never_gives_ids_that_no_span_has(place: int, put: bytes) -> None:
    spoilt = VALID[:place] + put + VALID[place + 1 :]
    found = read_traceparent(spoilt)
    if found is not None:
        assert WELL_FORMED.match(spoilt)
        assert (found.trace_id, found.span_id) == (int(spoilt[3:35], 16), int(spoilt[36:52], 16))
        assert found.trace_id
        assert found.span_id


@pytest.mark.parametrize(
    "value",
    [
        b"",
        f"00-{'0' * 32}-{SPAN}-01".encode(),  # no trace has this id
        f"00-{TRACE}-{'0' * 16}-01".encode(),  # no span has this id
        f"ff-{TRACE}-{SPAN}-01".encode(),  # no version
        f"00-{TRACE.upper()}-{SPAN}-01".encode(),
        f"00-{TRACE}-{SPAN}-01-more".encode(),  # version 00 has four fields
        f"01-{TRACE}-{SPAN}-01more".encode(),
        VALID + b"\n",
    ],
)
def test_what_the_specification_forbids_is_no_caller(value: bytes) -> None:
    assert read_traceparent(value) is None


def test_a_later_version_may_say_more_and_only_the_lowest_flag_decides() -> None:
    assert read_traceparent(f"01-{TRACE}-{SPAN}-03-more".encode()) == Traceparent(int(TRACE, 16), int(SPAN, 16))
    unsampled = read_traceparent(f"00-{TRACE}-{SPAN}-02".encode())
    assert unsampled is not None
    assert not unsampled.sampled
