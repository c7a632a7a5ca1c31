"""The times that a hub tells when it is asked for a connection: whatever they are, they do no harm."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from hercle_nb._signalr.failures import AttemptFailed
from hercle_nb._signalr.negotiate import _retry_after, _seconds, negotiate
from hercle_nb.config import Secret
from tests.lenient import NEGOTIATED, lenient_server
from tests.servers import KEY

SECOND = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", SECOND),
        ("Sunday, 06-Nov-94 08:49:37 GMT", SECOND),
        ("Sun Nov  6 08:49:37 1994", SECOND),
        ("Sun, 06 Nov 1994 08:49:37", SECOND),
        ("Sun, 06 Nov 1994 08:49:37 -0000", SECOND),
        ("Sun, 06 Nov 1994 10:49:37 +0200", SECOND),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799.0),
        ("Fri, 31 Dec 9999 23:59:59 -0000", 253_402_300_799.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 253_402_300_799.0 + 86_340),
        *(
            (absurd, None)
            for absurd in (
                *(None, "", " ", "0", "soon", "GMT", "1994-11-06T08:49:37Z", "784111777"),
                *("Sat, 00 Jan 0000 00:00:00 GMT", "Sun, 31 Feb 2026 00:00:00 GMT"),
                *("Sun, 06 Nov 1994 24:60:61 GMT", "Sun, 06 Nov 99999 08:49:37 GMT"),
                f"Sun, 06 Nov {'9' * 30} 08:49:37 GMT",
                f"Sun, 06 Nov 1994 08:49:37 +{'9' * 30}",
                "Sun, 06 Nov 1994 08:49:37 +9999",
            )
        ),
    ],
)
def test_dates(date: str | None, seconds: float | None) -> None:
    """An HTTP date is a moment by its own zone, UTC where it has none; what is none or absurd is None."""
    assert _seconds(date) == seconds


@given(
    st.one_of(
        st.text(max_size=60),
        st.builds(
            "Sun, {} {} {} {}:{}:{} {}".format,
            *(st.integers(-1, 40), st.sampled_from(["Nov", "Feb", "Foo", ""]), st.integers(-1, 10**12)),
            *(st.integers(-1, 99), st.integers(-1, 99), st.integers(-1, 99)),
            st.sampled_from(["GMT", "", "-0000", "+9999", "-2400", "+99999999999", "EST", "²"]),
        ),
    )
)
def test_no_date_raises(date: str) -> None:
    """Whatever stands in the header, reading it gives a number or None."""
    assert isinstance(_seconds(date), float | None)
    assert isinstance(_retry_after(date, date), float | None)


@pytest.mark.parametrize("hours", [-25, -2, 0, 2, 25])
def test_how_far_ahead(hours: int) -> None:
    """How far the hub's clock is ahead is told by its answer's date, in either direction."""
    with lenient_server() as server:
        now = formatdate(time.time() + hours * 3_600, usegmt=True)
        server.negotiate = lambda _: web.json_response(NEGOTIATED, headers={"Date": now})
        found = asyncio.run(negotiate(server.url, Secret(KEY), "a test", timeout=10))
    assert found.clock_ahead is not None
    assert abs(found.clock_ahead - hours * 3_600) < 30


def test_no_date() -> None:
    """Without a date it is not known how far the hub's clock is ahead, which is not the same as 0."""
    with lenient_server() as server:
        server.negotiate = lambda _: web.json_response(NEGOTIATED, headers={"Date": ""})
        assert asyncio.run(negotiate(server.url, Secret(KEY), "a test", timeout=10)).clock_ahead is None


@pytest.mark.parametrize("hours", [-2, 0, 2])
def test_when_to_come_back(hours: int) -> None:
    """A date to come back at is meant by the server's own clock, so that a wrong one here waits no longer."""
    now = time.time() + hours * 3_600
    headers = {"Date": formatdate(now, usegmt=True), "Retry-After": formatdate(now + 7, usegmt=True)}
    with lenient_server() as server:
        server.negotiate = lambda _: web.Response(status=503, headers=headers)
        with pytest.raises(AttemptFailed) as failed:
            asyncio.run(negotiate(server.url, Secret(KEY), "a test", timeout=10))
    assert failed.value.retry_after == 7


def test_when_to_come_back_without_a_date() -> None:
    """Where the server does not tell its time, a date to come back at is compared with ours."""
    wait = _retry_after(formatdate(time.time() + 3_600, usegmt=True), None)
    assert wait is not None
    assert 3_500 < wait <= 3_600
    assert _retry_after(formatdate(0, usegmt=True), None) == 0
    assert _retry_after("120", None) == 120
    assert _retry_after("soon", None) is None
