"""Why an attempt to connect failed, and whether another one is worth it."""

from __future__ import annotations

from enum import Enum

from hercle_nb.errors import AuthenticationError, ConnectionFailed, HercleError

_WORTH_ANOTHER = (408, 425, 429)


class Finality(Enum):
    """When trying again is pointless."""

    NEVER = "never"
    AT_FIRST = "at the first connection"
    ALWAYS = "always"


class AttemptFailed(Exception):
    """One attempt failed.

    Attributes:
        error: What the user is told if nothing better comes.
        finality: When trying again is pointless.
        retry_after: Seconds that the hub asked for, or None.
    """

    def __init__(self, error: HercleError, finality: Finality, retry_after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.finality = finality
        self.retry_after = retry_after


def refused_by_status(
    status: int, url: str, key_source: str, said: str, retry_after: float | None = None
) -> AttemptFailed:
    """The failure behind an HTTP status other than 200, on negotiate or on the upgrade."""
    if status in (401, 403):
        return AttemptFailed(
            AuthenticationError(
                f"The hub at {url} refused the API key from {key_source} ({status}). Check that it is whole, "
                "not revoked, and of this environment: sandbox and production have keys of their own."
            ),
            Finality.ALWAYS,
        )
    answer = f"{status} {said}".strip()
    finality = Finality.AT_FIRST
    if 300 <= status < 400:
        finality = Finality.ALWAYS  # it would take the key elsewhere
        text = (
            f"{url} answered {answer}: an HTTP redirect, which a hub does not send; give the final address."
        )
    elif status == 404:
        text = (
            f"There is no hub at {url} (404); check the path, it ends in /ExecutionLiveServer/v1 at Hercle."
        )
    elif status in _WORTH_ANOTHER or status >= 500:
        finality = Finality.NEVER
        text = f"The hub at {url} is not available: it answered {answer}."
    else:
        text = f"{url} is not a SignalR hub, or refuses this client: it answered {answer}."
    return AttemptFailed(ConnectionFailed(text), finality, retry_after)


def not_a_hub(url: str, said: str) -> AttemptFailed:
    """Something answers there, but it does not speak SignalR over WebSockets."""
    return AttemptFailed(
        ConnectionFailed(f"What answers at {url} is not a SignalR hub we can use: {said}."), Finality.AT_FIRST
    )


def key_would_leave(url: str, why: str) -> AttemptFailed:
    """A negotiation that would hand the key to somebody else."""
    return AttemptFailed(
        ConnectionFailed(f"The hub at {url} {why}; the key stays here. Give the final address as url."),
        Finality.ALWAYS,
    )


def unreachable(url: str, why: str, finality: Finality = Finality.NEVER) -> AttemptFailed:
    """Nothing usable answered there."""
    return AttemptFailed(ConnectionFailed(f"No hub answers at {url}: {why}."), finality)
