"""``hercle-nb record``: every event of a hub to Parquet parts, until interrupted."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from hercle_nb.config import resolve, resolve_environment
from hercle_nb.errors import ConfigurationError
from hercle_nb.gaps import BACK, LOST
from hercle_nb.hub import connect

if TYPE_CHECKING:
    from hercle_nb.config import Settings
    from hercle_nb.hub import Hub

_LOOK = 0.25  # seconds between two looks at the state


def settings(environment: str | None, url: str | None) -> Settings:
    """Work out the hub and its key: from HERCLE_API_KEY, else by asking, where there is somebody to ask.

    Raises:
        ConfigurationError: Something is missing, unknown or contradicts another.
    """
    environment = resolve_environment(environment, has_url=url is not None)
    asked = not os.environ.get("HERCLE_API_KEY", "").strip() and sys.stdin is not None and sys.stdin.isatty()
    return resolve(environment, "ask" if asked and environment != "simulator" else None, url)


def record(folder: str, environment: str | None, url: str | None, pairs: tuple[str, ...]) -> None:
    """Record until interrupted, or until the hub ends the connection for good.

    Raises:
        click.UsageError: The settings do not fit together.
        HercleError: There is no such hub, or it ended the connection for good.
        OSError: The folder cannot be written to.
    """
    try:
        found = settings(environment, url)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    key: Any = found.key  # an ApiKey: errors say where it came from
    with connect(found.environment, api_key=key, url=url, journal=False) as hub:
        recorder = hub.log.record(folder)
        try:
            for pair in pairs:
                hub.prices(pair)
            click.echo(f"Recording every event of {hub.url} in {recorder.folder}; Ctrl-C ends it.")
            with contextlib.suppress(KeyboardInterrupt):
                _follow(hub)
        finally:
            recorder.cancel()
            lost = f"; {recorder.lost:,} could not be written" if recorder.lost else ""
            click.echo(f"{recorder.rows:,} rows in {recorder.parts:,} files{lost}.")


def _follow(hub: Hub) -> None:
    """Say what becomes of the connection; returns only by raising."""
    said = hub.log.next_seq
    changes = 0
    while hub.state != "closed":
        time.sleep(_LOOK)
        stats = hub.stats
        if stats["gaps"] + stats["reconnects"] == changes:
            continue
        changes = stats["gaps"] + stats["reconnects"]
        frame = hub.log.frame(kind="connection", since=said)
        said = int(frame.index[-1]) + 1 if len(frame) else said
        for at, subject, data in zip(frame["received_at"], frame["subject"], frame["data"], strict=True):
            if subject in (LOST, BACK):
                what = f"lost: {data['reason']}" if subject == LOST else "back"
                click.echo(f"{at:%H:%M:%S} UTC, the connection is {what}", err=True)
    hub.wait_for()  # raises what ended it
