"""Hubs as programs, driven over their /control routes: the simulator and the reference hub alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "test-key"


class HubProcess:
    """A running hub.

    Attributes:
        url: Where it listens.
        key: The key it takes.
        process: The program.
    """

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.key = KEY
        self._base = url.partition("/ExecutionLiveServer")[0]

    @classmethod
    @contextmanager
    def simulator(cls, port: int = 0) -> Iterator[HubProcess]:
        """The simulator as a program."""
        command = [sys.executable, "-m", "hercle_nb.simulator", "--port", str(port), "--api-key", KEY]
        with _started(command) as process:
            yield cls(process, _address(process))

    @classmethod
    @contextmanager
    def reference(cls, program: Path, *options: str, port: int = 0) -> Iterator[HubProcess]:
        """ASP.NET Core SignalR itself; of an option given twice the last one counts."""
        urls = f"http://127.0.0.1:{port}"
        command = [str(program), "--urls", urls, "--exit-on-stdin-close", "true", *options]
        with _started(command) as process:
            yield cls(process, _address(process))

    def get(self, route: str) -> Any:
        """Read a control route."""
        with urllib.request.urlopen(f"{self._base}/control/{route}", timeout=10) as response:
            return json.load(response)

    def post(self, route: str, body: Any = None) -> None:
        """Call a control route."""
        data, kind = (
            (body.encode(), "text/plain")
            if isinstance(body, str)
            else (json.dumps(body).encode(), "application/json")
        )
        request = urllib.request.Request(
            f"{self._base}/control/{route}",
            data=None if body is None else data,
            headers={} if body is None else {"Content-Type": kind},
            method="POST",
        )
        urllib.request.urlopen(request, timeout=10).close()

    def add_key(self, user_id: str = "user_2") -> str:
        """Make another key, by default of a second account; the simulator alone can."""
        request = urllib.request.Request(
            f"{self._base}/control/keys",
            data=json.dumps({"userId": user_id}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            key: str = json.load(response)["key"]
        return key

    def mode(self, **switches: Any) -> None:
        """Set the fault switches; those not named are off."""
        self.post("mode", switches)

    def reset(self) -> None:
        """Forget everything, and take `KEY` again."""
        self.post("reset")
        self.post("key", {"key": KEY})

    def lose(self, how: str = "cut") -> None:
        """End every connection: ``cut`` tears TCP down, ``drop`` is polite. Waits until there is one."""
        deadline = time.monotonic() + 5
        while not self.stats()["connections"]:  # ASP.NET Core counts one only after its handshake
            assert time.monotonic() < deadline, "nobody is connected"
        self.post(how)

    def stats(self) -> dict[str, Any]:
        """What the hub has seen."""
        stats: dict[str, Any] = self.get("stats")
        return stats

    def created(self) -> int:
        """How many invoices the hub has."""
        return len(self.stats()["invoices"])


@contextmanager
def _started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A program that ends with its standard input, or else by SIGTERM."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HERCLE_")}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:  # the reference hub may linger after SIGTERM
                process.kill()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("listening on "), f"the hub did not start: {line!r}"
    return line.split()[-1]


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for this machine that nobody trusts; where it is, and its key."""
    made, key = folder / "certificate.pem", folder / "key.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [
        "openssl",
        "req",
        "-x509",
        *curve,
        "-days",
        "2",
        *names,
        "-keyout",
        str(key),
        "-out",
        str(made),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return made, key


@contextmanager
def interrupt_after(seconds: float) -> Iterator[None]:
    """Interrupt the main thread, as Ctrl-C and Jupyter's stop button do."""
    timer = threading.Timer(seconds, signal_main)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def signal_main() -> None:
    """Send this process the signal of Ctrl-C."""
    import signal

    os.kill(os.getpid(), signal.SIGINT)


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in an interpreter of its own where any warning is an error."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
