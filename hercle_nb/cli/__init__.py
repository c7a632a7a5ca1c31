"""The command ``hercle-nb``: what it offers, its options and its exit codes.

0 done (an interrupt, where a command runs until one), 1 failed, 2 wrong usage. What each command does is in a
module of its own, imported when it runs, so that ``--help`` and completion are quick.
"""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Any

import click

from hercle_nb import __version__, amounts
from hercle_nb.config import ENVIRONMENTS
from hercle_nb.errors import HercleError, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable

_COMPLETION = """\b
Completion of commands and options, for bash, zsh and fish:
  eval "$(_HERCLE_NB_COMPLETE=bash_source hercle-nb)"    in ~/.bashrc
  eval "$(_HERCLE_NB_COMPLETE=zsh_source hercle-nb)"     in ~/.zshrc
  _HERCLE_NB_COMPLETE=fish_source hercle-nb | source     in ~/.config/fish/config.fish
"""


class _Commands(click.Group):
    """Says what went wrong in a sentence, never in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for.

        Raises:
            click.ClickException: What a user can mend.
        """
        _end_as_by_interrupt()
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # whoever read has gone; click knows what to do
            raise
        except HercleError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
            raise click.ClickException(what) from error


def _end_as_by_interrupt() -> None:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does, last Parquet part and all."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is None or signal.getsignal(number) is signal.SIG_IGN:  # as nohup asks
            continue
        with contextlib.suppress(ValueError):  # a thread can set none
            signal.signal(number, signal.default_int_handler)


def _which_hub(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which hub a command talks to."""
    for option in (
        click.option("--url", metavar="URL", help="Another hub than the environment's own."),
        click.option(
            "--environment",
            type=click.Choice(ENVIRONMENTS),
            help="Default: HERCLE_ENV, else sandbox if there is a key or a URL, else the simulator.",
        ),
    ):
        command = option(command)
    return command


class _Whole(click.IntRange):
    """Whole numbers within a range, read as they are everywhere: ``8.888`` has two readings."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read what was typed."""
        try:
            number = amounts.option(value) if isinstance(value, str) else value
        except InvalidRequest as error:
            self.fail(str(error), param, ctx)
        return super().convert(number, param, ctx)


def _port(default: int) -> Callable[..., Any]:
    return click.option(
        "--port",
        type=_Whole(0, 65_535),
        default=default,
        show_default=True,
        help="0 takes a free one.",
    )


_no_browser = click.option("--no-browser", is_flag=True, help="Print the address and open no browser.")


@click.group(
    cls=_Commands,
    epilog=_COMPLETION,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="hercle_nb")
def main() -> None:
    """A Jupyter toolkit for Hercle's hub: Lightning invoices and every event of the hub in a notebook.

    Without an API key everything talks to a simulator on this machine: no account, no network. A key comes
    from the variable HERCLE_API_KEY or from a hidden prompt, never from an option.
    """


@main.command("demo")
@_port(8888)
@_no_browser
def _demo(port: int, *, no_browser: bool) -> None:
    """Open the notebooks in JupyterLab.

    It begins with the quickstart. They are copies in a temporary folder, which goes when you end this with
    Ctrl-C, unless you have changed them.
    """
    from hercle_nb.cli import jupyter

    jupyter.demo(port, browser=not no_browser)


@main.command("app")
@_port(8866)
@_no_browser
def _app(port: int, *, no_browser: bool) -> None:
    """Serve the app in a browser, by Voilà.

    Until Ctrl-C, only for this machine, and only for who has the address with its token. HERCLE_API_KEY is
    not handed on to it: a key is typed into the app.
    """
    from hercle_nb.cli import jupyter

    jupyter.app(port, browser=not no_browser)


@main.command("simulator")
@_port(8765)
def _simulator(port: int) -> None:
    """Run a simulated hub on this machine.

    Any SignalR client can use it, until Ctrl-C. It prints its URL and its key, made for this run;
    HERCLE_API_KEY is not looked at.
    """
    from hercle_nb.simulator.__main__ import serve

    serve(port)


@main.command("record")
@click.argument("folder", type=click.Path(file_okay=False))
@_which_hub
@click.option(
    "--prices", metavar="PAIR", multiple=True, help="Subscribe to the prices of BTCUSDT, say; repeatable."
)
def _record(folder: str, environment: str | None, url: str | None, prices: tuple[str, ...]) -> None:
    """Record every event of a hub as Parquet.

    Until Ctrl-C, the events are written to files in FOLDER, one each five minutes, each complete or absent.
    A lost connection is made again and is a row too.
    """
    from hercle_nb.cli.record import record

    record(folder, environment, url, prices)


@main.command("doctor")
@_which_hub
@click.pass_context
def _doctor(ctx: click.Context, environment: str | None, url: str | None) -> None:
    """Look for what is wrong: packages, settings, connection.

    Says what to do about each finding. It creates no invoice, changes nothing and shows no key. Exit status 1
    if something is broken.
    """
    from hercle_nb.cli.doctor import examine

    ctx.exit(0 if examine(environment, url) else 1)
