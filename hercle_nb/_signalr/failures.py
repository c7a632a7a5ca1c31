"""Why an attempt to connect failed, and whether another one is worth it."""

from __future__ import annotations

from hercle_nb.errors import AuthenticationError, ConnectionFailed, HercleError

_WORTH_ANOTHER = (408, 425, 429)


class AttemptFailed(Exception):
    """One attempt failed.

    Attributes:
        error: What the user is told if nothing better comes.
        final: Whether trying again is pointless.
        retry_after: Seconds that the hub asked for, or None.
    """

    def __init__(self, error: HercleError, *, final: bool, retry_after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.final = final
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
            final=True,
        )
    answer = f"{status} {said}".strip()
    if 300 <= status < 400:
        text = (
            f"{url} answered {answer}: an HTTP redirect, which a hub does not send; give the final address."
        )
    elif status == 404:
        text = (
            f"There is no hub at {url} (404); check the path, it ends in /ExecutionLiveServer/v1 at Hercle."
        )
    elif status in _WORTH_ANOTHER or status >= 500:
        text = f"The hub at {url} is not available: it answered {answer}."
    else:
        text = f"{url} is not a SignalR hub, or refuses this client: it answered {answer}."
    final = status < 500 and status not in _WORTH_ANOTHER
    return AttemptFailed(ConnectionFailed(text), final=final, retry_after=retry_after)


def not_a_hub(url: str, said: str) -> AttemptFailed:
    """Something answers there, but it does not speak SignalR over WebSockets."""
    return AttemptFailed(
        ConnectionFailed(f"What answers at {url} is not a SignalR hub we can use: {said}."), final=True
    )


def unreachable(url: str, why: str, *, final: bool = False) -> AttemptFailed:
    """Nothing usable answered there."""
    return AttemptFailed(ConnectionFailed(f"No hub answers at {url}: {why}."), final=final)
