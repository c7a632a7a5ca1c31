"""The line of a wait: in a real terminal, in a pipe and in a real kernel."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import pytest
from jupyter_client.manager import KernelManager

from hercle_nb import progress
from hercle_nb.calls import Call
from hercle_nb.progress import WaitLine, span_text, wait_text
from tests.answers import answer, pay_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import hercle_nb as hercle

HOUR = 3_600
DAY = 86_400
SCRIPT = """
import sys
from hercle_nb.progress import WaitLine

with WaitLine("payment of 1 BTC", None) as line:
    line.update("reconnecting")
    line.end("paid after 0:00:00")
print("IPython" in sys.modules)
"""


class Terminal:
    """A pseudo-terminal, the other end of which is this process's standard error while it is entered."""

    def __init__(self, columns: int = 100) -> None:
        self._ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self._columns = columns or 80
        self._shown = b""
        self._stderr = contextlib.redirect_stderr(
            os.fdopen(self.theirs, "w", encoding="utf-8", closefd=False)
        )

    def screen(self) -> list[str]:
        """The lines on the screen without spaces at their ends; the last is that of the cursor."""
        os.write(self.theirs, b"\x00")  # by which we know that all before has come
        while not self._shown.endswith(b"\x00"):
            self._shown += os.read(self._ours, 1 << 16)
        self._shown = self._shown[:-1]
        lines, column = [""], 0
        for character in self._shown.decode():
            if character == "\n":
                lines.append("")
            elif character == "\r":
                column = 0
            else:
                if column == self._columns:
                    lines.append("")
                    column = 0
                lines[-1] = lines[-1][:column] + character + lines[-1][column + 1 :]
                column += 1
        return [line.rstrip(" ") for line in lines]

    def hang_up(self) -> None:
        """Go away, as a window that is closed."""
        os.close(self._ours)
        self._ours = -1

    def __enter__(self) -> Self:
        self._stderr.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        written = sys.stderr
        self._stderr.__exit__(None, None, None)
        with contextlib.suppress(OSError):  # what is still to be written has nowhere to go
            written.close()
        os.close(self.theirs)
        if self._ours >= 0:
            os.close(self._ours)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the clock of `elapsed`, in seconds since the test began."""
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, seconds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00:00"),
        (0.999, "0:00:00"),
        (59.9, "0:00:59"),
        (60, "0:01:00"),
        (83, "0:01:23"),
        (HOUR - 1, "0:59:59"),
        (HOUR, "1:00:00"),
        (23 * HOUR + 58 * 60 + 37, "23:58:37"),
        (DAY - 0.001, "23:59:59"),
        (DAY, "1 d 00:00:00"),
        (3 * DAY + 4 * HOUR + 5 * 60 + 6, "3 d 04:05:06"),
        (30 * DAY, "30 d 00:00:00"),
        (2_912_000 * DAY, "2\u202f912\u202f000 d 00:00:00"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    """A span is hours, minutes and whole seconds, with days before them from 24 hours on."""
    assert span_text(seconds) == text


@pytest.mark.parametrize(
    ("left", "state", "text"),
    [
        (23 * HOUR + 58 * 60 + 37, "connected", " · 23:58:37 until it expires"),
        (0.5, "connected", " · 0:00:00 until it expires"),
        (0, "connected", " · expired 0:00:00 ago, asking the hub once more"),
        (-5.2, "reconnecting", " · expired 0:00:05 ago, asking the hub once more · reconnecting"),
        (None, "connected", ""),
        (None, "closed", " · closed"),
    ],
)
def test_what_the_line_says(left: float | None, state: str, text: str) -> None:
    """The line says what is waited for, since when, until when, and how the hub is unless all is well."""
    said = wait_text("payment of 0.00100000 BTC", 83, left, state)
    assert said == f"waiting for payment of 0.00100000 BTC · 0:01:23 elapsed{text}"


def test_one_line_of_a_terminal(clock: Callable[[float], None]) -> None:
    """A terminal shows one line that changes, a shorter one without rests of a longer; last words stay."""
    with (
        Terminal() as terminal,
        WaitLine("payment", datetime.now(UTC) + timedelta(days=3, seconds=30)) as line,
    ):
        line.update("reconnecting")
        [first] = terminal.screen()
        assert first.startswith("waiting for payment · 0:00:00 elapsed · 3 d 00:00:")
        assert first.endswith(" until it expires · reconnecting")
        clock(65)
        line.update("connected")
        [second] = terminal.screen()
        assert second.startswith("waiting for payment · 0:01:05 elapsed · 3 d 00:00:")
        assert second.endswith(" until it expires")
        line.end("paid after 0:01:05")
        assert terminal.screen() == ["paid after 0:01:05", ""]
        clock(66)
        line.update("connected")
        line.__exit__()
        assert terminal.screen() == ["paid after 0:01:05", ""]


def test_once_a_second(clock: Callable[[float], None]) -> None:
    """However often it is told, the line is drawn once for each second."""
    drawn = []
    with Terminal() as terminal, WaitLine("payment", None) as line:
        for tenth in range(25):
            clock(tenth / 10)
            line.update("connected" if tenth % 10 == 0 else "closed")
            drawn += terminal.screen()
    assert sorted({*drawn}) == [f"waiting for payment · 0:00:0{second} elapsed" for second in range(3)]


@pytest.mark.parametrize(
    ("amount_msat", "what"),
    [
        (100_000_000, "0.00100000 BTC"),
        (1_000, "0.00000001 BTC, not of the 0.00100000 BTC asked for"),
        (None, "any amount, not of the 0.00100000 BTC asked for"),
    ],
)
def test_the_amount_waited_for(hub: hercle.Hub, amount_msat: int | None, what: str) -> None:
    """A payment of what the payment request asks for is waited for, whatever was asked of the hub."""
    invoice = answer(encodedPaymentRequest=pay_to(amount_msat=amount_msat))
    hub._core.book.adopt(hub._core.book.creations.setdefault("my-invoice-123", Call("Create")), invoice)
    with Terminal(200) as terminal, hub._wait_line(invoice, enabled=True) as line:
        line.update("connected")
        [shown] = terminal.screen()
    assert shown.startswith(f"waiting for payment of {what} · 0:00:00 elapsed · ")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_line_goes(error: type[BaseException]) -> None:
    """A wait that ends without last words, by an interrupt as well, leaves an empty line to go on in."""
    with Terminal() as terminal:
        with contextlib.suppress(error), WaitLine("payment", None) as line:
            line.update("connected")
            assert terminal.screen() == ["waiting for payment · 0:00:00 elapsed"]
            raise error
        assert terminal.screen() == [""]


@pytest.mark.parametrize(("columns", "shown"), [(30, 29), (2, 1), (1, 0), (0, 79)])
def test_narrow_terminals(columns: int, shown: int, clock: Callable[[float], None]) -> None:
    """The line is cut off before it would wrap, also where the terminal does not tell its width."""
    with Terminal(columns) as terminal, WaitLine("payment" * 20, None) as line:
        for second in range(3):
            clock(second)
            line.update("connected")
            assert terminal.screen() == [f"waiting for {'payment' * 20}"[:shown]]


def test_control_characters() -> None:
    """A text cannot move the cursor or begin another line."""
    with Terminal() as terminal, WaitLine("a\x1b[2J\r\nb\x9bc\u2028d", None) as line:
        line.update("connected")
        assert terminal.screen() == ["waiting for a [2J  b c d · 0:00:00 elapsed"]
        line.end("paid\nnow\x07")
        assert terminal.screen() == ["paid now", ""]


def test_switched_off() -> None:
    """What is not enabled draws nothing, no last words either."""
    with Terminal() as terminal:
        with WaitLine("payment", None, enabled=False) as line:
            line.update("connected")
            line.end("paid")
        assert terminal.screen() == [""]


def test_no_wait_at_all() -> None:
    """A block that draws nothing leaves nothing; one that only ends leaves its last words."""
    with Terminal() as terminal:
        with WaitLine("payment", None):
            pass
        assert terminal.screen() == [""]
        with WaitLine("payment", None) as line:
            line.end("paid")
        assert terminal.screen() == ["paid", ""]


def test_a_terminal_that_goes_away(clock: Callable[[float], None]) -> None:
    """When the window is closed the wait goes on."""
    with Terminal() as terminal, WaitLine("payment", None) as line:
        line.update("connected")
        terminal.hang_up()
        with pytest.raises(OSError, match="Input/output error"):
            os.write(terminal.theirs, b"x")
        clock(1)
        line.update("connected")
        line.end("paid")


def test_standard_error_is_closed(clock: Callable[[float], None]) -> None:
    """A standard error that is closed before the wait or during it is no error."""
    with Terminal():
        with WaitLine("payment", None) as line:
            line.update("connected")
            sys.stderr.close()
            clock(1)
            line.update("connected")
        with pytest.raises(ValueError, match="closed file"):
            sys.stderr.isatty()
        with WaitLine("payment", None) as line:
            line.update("connected")
            line.end("paid")


def test_a_standard_error_that_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A standard error that says it is no terminal is believed, whatever stands behind it."""
    with Terminal() as terminal:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
        with WaitLine("payment", None) as line:
            line.update("connected")
            line.end("paid")
        assert terminal.screen() == [""]


def test_no_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any standard error, as under pythonw, the wait goes on."""
    monkeypatch.setattr(sys, "stderr", None)
    with WaitLine("payment", None) as line:
        line.update("connected")
        line.end("paid")


def test_a_script_in_a_pipe() -> None:
    """Where neither a notebook nor a terminal listens nothing is written, and IPython is not imported."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_ipython_in_a_terminal(tmp_path: Path) -> None:
    """IPython of a terminal has no notebook: its line is the terminal's."""
    command = [sys.executable, "-m", "IPython", "--quick", "--colors=NoColor", "-c", SCRIPT]
    with Terminal() as terminal:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=terminal.theirs,
            check=True,
            env={**os.environ, "IPYTHONDIR": str(tmp_path)},
        )
        assert done.stdout == b"True\n"
        assert terminal.screen() == ["paid after 0:00:00", ""]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """Run a cell in a kernel: what it put out, each message with its type and content."""
    manager = KernelManager(
        kernel_name="python3", connection_file=str(tmp_path_factory.mktemp("k") / "k.json")
    )
    manager.kernel_spec.argv[0] = sys.executable
    manager.start_kernel(extra_arguments=["--log-level=ERROR"])
    client = manager.blocking_client()
    client.start_channels()

    def run(cell: str) -> list[dict[str, Any]]:
        put_out: list[dict[str, Any]] = []
        client.execute_interactive(cell, timeout=60, output_hook=put_out.append)
        return [message for message in put_out if message["msg_type"] not in ("status", "execute_input")]

    try:
        client.wait_for_ready(timeout=60)
        yield run
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


CELL = """
from hercle_nb import progress

seconds = iter(range(100))
progress.monotonic = lambda: next(seconds)
with progress.WaitLine("payment of <b>", None) as line:
    for _ in range(5):
        line.update("reconnecting")
    {end}
"""


def test_one_output_of_a_notebook(outputs: Callable[[str], list[dict[str, Any]]]) -> None:
    """A cell gets one output, as text and as escaped HTML, which is updated in place up to the last words."""
    first, *updates = outputs(CELL.format(end='line.end("paid & done")'))
    assert first["msg_type"] == "display_data"
    assert [message["msg_type"] for message in updates] == ["update_display_data"] * 5
    assert len({message["content"]["transient"]["display_id"] for message in [first, *updates]}) == 1
    data = [message["content"]["data"] for message in [first, *updates]]
    assert [said["text/plain"] for said in data] == [
        *(f"waiting for payment of <b> · 0:00:0{second} elapsed · reconnecting" for second in range(1, 6)),
        "paid & done",
    ]
    assert ">waiting for payment of &lt;b&gt; · 0:00:01 elapsed · reconnecting<" in data[0]["text/html"]
    assert ">paid &amp; done<" in data[-1]["text/html"]


def test_the_output_of_a_notebook_goes(outputs: Callable[[str], list[dict[str, Any]]]) -> None:
    """A wait that ends by an error leaves an empty output before the error."""
    *_, last, error = outputs(CELL.format(end='raise RuntimeError("no")'))
    assert last["content"]["data"]["text/plain"] == ""
    assert (error["msg_type"], error["content"]["evalue"]) == ("error", "no")


def test_no_output_of_no_wait(outputs: Callable[[str], list[dict[str, Any]]]) -> None:
    """A cell whose wait is over before anything was drawn has no output."""
    assert outputs("from hercle_nb.progress import WaitLine\nwith WaitLine('payment', None):\n    pass") == []


def test_each_wait_of_a_cell(outputs: Callable[[str], list[dict[str, Any]]]) -> None:
    """Two waits in a cell have an output each."""
    displays = [
        message for message in outputs(CELL.format(end="") * 2) if message["msg_type"] == "display_data"
    ]
    assert len({message["content"]["transient"]["display_id"] for message in displays}) == 2


def test_a_display_that_fails(outputs: Callable[[str], list[dict[str, Any]]]) -> None:
    """Where the notebook cannot be reached the wait goes on, and nothing more is tried."""
    broken = "get_ipython().display_pub.publish = lambda *_, **__: 1 / 0\n"
    mended = "\nfinally:\n    del get_ipython().display_pub.publish"
    cell = "".join(f"    {line}\n" for line in CELL.format(end='line.end("x")').splitlines())
    assert outputs(f"{broken}try:\n{cell}{mended}\nprint('went on')")[0]["content"]["text"] == "went on\n"
