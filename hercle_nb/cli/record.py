"""``hercle-nb record``: every event of a hub to Parquet parts, until interrupted."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import click

from hercle_nb.cli.settings import settings
from hercle_nb.errors import ConfigurationError
from hercle_nb.gaps import BACK, LOST
from hercle_nb.hub import connect

if TYPE_CHECKING:
    from hercle_nb.hub import Hub

_LOOK = 0.25  # seconds between two looks at the state


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
    with (
        contextlib.suppress(KeyboardInterrupt),
        connect(found.environment, api_key=key, url=url, journal=False) as hub,
    ):
        recorder = hub.log.record(folder)
        try:
            for pair in pairs:
                hub.prices(pair)
            what = f"{hub.url} ({hub.environment})"
            click.echo(f"Recording every event of {what} in {recorder.folder}; Ctrl-C ends it.")
            with contextlib.suppress(KeyboardInterrupt):
                _follow(hub)
        finally:
            recorder.cancel()
            click.echo(f"{recorder.rows:,} rows in {recorder.parts:,} files.")
        if recorder.lost:
            raise click.ClickException(
                f"{recorder.lost:,} rows were lost: they could not be written in time."
            )


def _follow(hub: Hub) -> None:
    """Say what becomes of the connection; returns only by raising."""
    said = changes = 0
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
