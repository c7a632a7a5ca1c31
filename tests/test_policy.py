"""What comes next after a failure or a loss: the policy's decisions as tables of cases, without I/O."""

from __future__ import annotations

import socket
import ssl
from types import SimpleNamespace
from typing import TYPE_CHECKING

import aiohttp
import pytest

from hercle_nb import errors
from hercle_nb._signalr import failures, negotiate
from hercle_nb._signalr.failures import AttemptFailed, Finality
from hercle_nb._signalr.policy import Ending, GiveUp, Policy, Retry

if TYPE_CHECKING:
    from collections.abc import Iterable

URL = "https://hub.example/v1"
CUT, GOODBYE = Ending("cut"), Ending("the hub ended the connection: bye", goodbye=True)
NAP = Ending("slept", slept=True)


def failed(retry_after: float | None = None) -> AttemptFailed:
    """A failure that is worth another attempt."""
    return AttemptFailed(errors.ConnectionFailed("no"), Finality.NEVER, retry_after)


def status(number: int, retry_after: float | None = None) -> AttemptFailed:
    """What an HTTP status means."""
    return failures.refused_by_status(number, URL, "the argument api_key", "said", retry_after)


def network(error: Exception) -> AttemptFailed:
    """What an exception of the HTTP client means."""
    return negotiate._translated(error, URL)


def no_socket(error: OSError, kind: type = aiohttp.ClientConnectorError) -> Exception:
    """An exception of the HTTP client for a socket that did not come about."""
    return kind(SimpleNamespace(host="hub.example", port=443, ssl=True), error)


def steps(policy: Policy, what: Iterable[AttemptFailed | tuple[Ending, float]]) -> list[float | str]:
    """Delays that the policy decides on for reconnecting, one for each thing that happens, or "over"."""
    found: list[float | str] = []
    for each in what:
        decision = policy.failed(each) if isinstance(each, AttemptFailed) else policy.lost(*each)
        found.append(decision.delay if isinstance(decision, Retry) else "over")
    return found


@pytest.mark.parametrize("drawn", [0.0, 0.25, 0.5, 1.0])
def test_delays(drawn: float) -> None:
    """The first four delays are exact, those after them anything up to a minute, for ever."""
    policy = Policy(lambda: drawn)
    assert steps(policy, [(CUT, 9.0), *[failed()] * 100]) == [0.0, 2.0, 10.0, 30.0, *[60.0 * drawn] * 97]


def test_jitter_is_drawn_anew() -> None:
    """Each of the later delays is drawn for itself; the exact ones draw nothing."""
    draws = iter((0.1, 0.9, 0.5))
    policy = Policy(lambda: next(draws))
    assert steps(policy, [failed()] * 7) == pytest.approx([0, 2, 10, 30, 6, 54, 30])
    assert next(draws, None) is None


def test_jitter_by_itself() -> None:
    """Without a generator of one's own the later delays differ and stay within the minute."""
    policy = Policy()
    later = [float(delay) for delay in steps(policy, [failed()] * 204)[4:]]
    assert all(0 <= delay <= 60 for delay in later)
    assert len(set(later)) > 150


@pytest.mark.parametrize(
    ("what", "delays"),
    [
        ([(CUT, 4.99), (CUT, 4.99), (CUT, 0.0), (CUT, 0.0), (CUT, 0.0)], [0, 2, 10, 30, 15]),
        ([(CUT, 5.0), (CUT, 5.0), (CUT, 86_400.0)], [0, 0, 0]),
        ([(CUT, 0.0), failed(), failed(), (CUT, 4.99)], [0, 2, 10, 30]),
        ([(CUT, 0.0), failed(), failed(), (CUT, 5.0), failed()], [0, 2, 10, 0, 2]),
        ([(CUT, 0.0), (CUT, 0.0), (NAP, 0.0), failed()], [0, 2, 0, 2]),
    ],
    ids=["dropped at once", "stable", "short after failures", "stable after failures", "slept"],
)
def test_delays_begin_anew(what: list[AttemptFailed | tuple[Ending, float]], delays: list[float]) -> None:
    """Only a connection that stayed up for five seconds, or a sleep, makes the delays begin anew."""
    assert steps(Policy(lambda: 0.25), what) == delays


def test_delays_begin_anew_after_the_first_connection() -> None:
    """What the first connection cost in delays counts until it has lasted."""
    policy = Policy(lambda: 0.25)
    for _ in range(3):
        policy.first_failed(failed())
    assert steps(policy, [(CUT, 1.0), (CUT, 6.0)]) == [30, 0]


@pytest.mark.parametrize(
    ("asked", "delays"),
    [
        (None, [0, 2, 10, 30, 15]),
        (0.0, [0, 2, 10, 30, 15]),
        (1.0, [1, 2, 10, 30, 15]),
        (10.0, [10, 10, 10, 30, 15]),
        (3_600.0, [3_600] * 5),
    ],
)
def test_retry_after(asked: float | None, delays: list[float]) -> None:
    """The hub's Retry-After replaces our delay where it is longer, and never shortens it."""
    assert steps(Policy(lambda: 0.25), [failed(asked)] * 5) == delays


@pytest.mark.parametrize(
    ("asked", "delays"), [(None, [0, 2, 2, 2, 2, 2]), (1.0, [1, 2, 2, 2, 2, 2]), (7.0, [7] * 6)]
)
def test_first_connection_is_impatient(asked: float | None, delays: list[float]) -> None:
    """While somebody waits for the first connection no delay of ours exceeds two seconds."""
    policy = Policy(lambda: 0.9)
    assert [policy.first_failed(failed(asked)) for _ in range(6)] == [Retry(delay) for delay in delays]


KINDS = {
    "401": (status(401), errors.AuthenticationError, "over", "over"),
    "403": (status(403), errors.AuthenticationError, "over", "over"),
    "redirect 302": (status(302), errors.ConnectionFailed, "over", "over"),
    "redirect 307": (status(307), errors.ConnectionFailed, "over", "over"),
    "key would leave": (failures.key_would_leave(URL, "x"), errors.ConnectionFailed, "over", "over"),
    "400": (status(400), errors.ConnectionFailed, "over", "again"),
    "404": (status(404), errors.ConnectionFailed, "over", "again"),
    "405": (status(405), errors.ConnectionFailed, "over", "again"),
    "408": (status(408), errors.ConnectionFailed, "again", "again"),
    "425": (status(425), errors.ConnectionFailed, "again", "again"),
    "429": (status(429, 1.0), errors.ConnectionFailed, "again", "again"),
    "500": (status(500), errors.ConnectionFailed, "again", "again"),
    "502": (status(502), errors.ConnectionFailed, "again", "again"),
    "503": (status(503), errors.ConnectionFailed, "again", "again"),
    "not a hub": (failures.not_a_hub(URL, "HTML"), errors.ConnectionFailed, "over", "again"),
    "refused": (network(no_socket(ConnectionRefusedError())), errors.ConnectionFailed, "again", "again"),
    "reset": (network(ConnectionResetError()), errors.ConnectionFailed, "again", "again"),
    "timed out": (failures.unreachable(URL, "silent"), errors.ConnectionFailed, "again", "again"),
    "DNS": (
        network(no_socket(socket.gaierror(), aiohttp.ClientConnectorDNSError)),
        errors.ConnectionFailed,
        "over",
        "again",
    ),
    "DNS, otherwise wrapped": (
        network(no_socket(socket.gaierror())),
        errors.ConnectionFailed,
        "over",
        "again",
    ),
    "certificate": (
        network(no_socket(ssl.SSLCertVerificationError())),
        errors.ConnectionFailed,
        "over",
        "again",
    ),
    "TLS broke": (network(no_socket(ssl.SSLEOFError())), errors.ConnectionFailed, "again", "again"),
    "key's callable": (
        AttemptFailed(errors.ConfigurationError("it raised"), Finality.AT_FIRST),
        errors.ConfigurationError,
        "over",
        "again",
    ),
}


@pytest.mark.parametrize(("failure", "error", "first", "later"), KINDS.values(), ids=KINDS)
def test_finality(failure: AttemptFailed, error: type, first: str, later: str) -> None:
    """What ends the first connect, what ends a reconnect (far less), and as which error."""
    assert type(failure.error) is error
    for decision, expected in (
        (Policy().first_failed(failure), first),
        (Policy().failed(failure), later),
    ):
        assert isinstance(decision, GiveUp if expected == "over" else Retry)
        assert not isinstance(decision, GiveUp) or decision.error is failure.error


@pytest.mark.parametrize(
    ("what", "delays"),
    [
        ([(GOODBYE, 1.0)], [0]),
        ([(GOODBYE, 3_600.0)], [0]),
        ([(GOODBYE, 1.0), (GOODBYE, 0.0)], [0, "over"]),
        ([(GOODBYE, 1.0), (GOODBYE, 59.9)], [0, "over"]),
        ([(GOODBYE, 1.0), (GOODBYE, 60.0)], [0, 0]),
        ([(GOODBYE, 1.0), (GOODBYE, 60.0), (GOODBYE, 1.0)], [0, 0, "over"]),
        ([(GOODBYE, 1.0), failed(), failed(), (GOODBYE, 1.0)], [0, 2, 10, "over"]),
        ([(GOODBYE, 1.0), (CUT, 1.0), (GOODBYE, 1.0)], [0, 2, "over"]),
        ([(GOODBYE, 1.0), (CUT, 60.0), (GOODBYE, 1.0)], [0, 0, 2]),
        ([(CUT, 1.0), (GOODBYE, 1.0)], [0, 2]),
    ],
)
def test_goodbyes(what: list[AttemptFailed | tuple[Ending, float]], delays: list[float | str]) -> None:
    """One goodbye may be a redeployment; a second before a connection lasted a minute is meant."""
    assert steps(Policy(lambda: 0.25), what) == delays


def test_second_goodbye_names_the_reason() -> None:
    """What ends it is an error with the hub's own reason."""
    policy = Policy()
    policy.lost(GOODBYE, 1.0)
    decision = policy.lost(GOODBYE, 1.0)
    assert isinstance(decision, GiveUp)
    assert isinstance(decision.error, errors.ConnectionFailed)
    assert "bye" in str(decision.error)


def test_woke_during_a_delay() -> None:
    """After a sleep during a long delay the attempt is due now, and the delays after it begin anew."""
    policy = Policy(lambda: 0.25)
    assert steps(policy, [failed()] * 6) == [0, 2, 10, 30, 15, 15]
    policy.woke()
    assert steps(policy, [failed()] * 4) == [2, 10, 30, 15]
