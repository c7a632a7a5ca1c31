"""The simulator as a program: ``python -m hercle_nb.simulator [--port 8765] [--api-key KEY]``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import signal
import sys
from typing import TYPE_CHECKING

from hercle_nb import amounts
from hercle_nb.errors import ConfigurationError, InvalidRequest
from hercle_nb.simulator.server import Server

if TYPE_CHECKING:
    from collections.abc import Sequence


async def _serve(port: int, api_key: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt instead
            loop.add_signal_handler(name, stop.set)
    server = Server(api_key, control=True)
    await server.start(port)
    try:
        print(f"listening on {server.url}")
        print(f"key {api_key}", flush=True)
        await stop.wait()
    finally:
        await server.close()


def serve(port: int, api_key: str | None = None) -> None:
    """Serve until SIGTERM or SIGINT; prints the URL and the key.

    Args:
        port: Where to listen on 127.0.0.1; 0 takes a free port.
        api_key: The right key; made at random if not given.

    Raises:
        ConfigurationError: The port is taken.
    """
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(port, api_key or secrets.token_urlsafe()))


def _port(text: str) -> int:
    try:
        return amounts.option(text)
    except InvalidRequest as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="hercle_nb.simulator", description="A simulated Hercle hub on 127.0.0.1, with control routes."
    )
    parser.add_argument("--port", type=_port, default=8765, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--api-key", metavar="KEY", help="the right key (default: a random one)")
    options = parser.parse_args(arguments)
    if options.api_key == "":
        parser.error("argument --api-key: is empty; leave it out for a random one")
    try:
        serve(options.port, options.api_key)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
