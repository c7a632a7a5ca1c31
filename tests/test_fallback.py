"""That nobody named the simulator is said once, where no repr would show it, and nowhere else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.commands_run import ended, environment, line_with, running
from tests.kernels import MARKS, kernel, run_queued
from tests.servers import KEY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import HubProcess

SENTENCE = (
    "hercle_nb: this is the simulator, where nothing is real; set HERCLE_API_KEY to reach a hub, or write "
    'hercle.connect("simulator") to say that it is meant.\n'
)
IMPORT = "import sys, asyncio, hercle_nb as hercle\n"
CONNECT = f"{IMPORT}hercle.connect().close()\n"
ASYNC = """
async def main():
    async with await hercle.connect_async():
        pass
asyncio.run(main())
"""


def script(code: str, *options: str, given: str | None = None, **variables: str) -> Any:
    """Run a script as a scheduler does, with pipes instead of a terminal."""
    return subprocess.run(
        [sys.executable, *options, *([] if given else ["-c", code])],
        env=environment(**variables),
        input=given or "",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


@pytest.mark.parametrize(
    "code",
    [
        CONNECT,
        CONNECT * 2,
        IMPORT + ASYNC,
        CONNECT + ASYNC,
        f"import IPython\n{CONNECT}",  # imported by something, but nobody sits before it
        f"import sys\nsys.stdout = None\n{CONNECT}",
        f"import sys\nsys.stdout.close()\n{CONNECT}",
        f"{IMPORT}hercle.connect('simulator').close()\n{CONNECT}",
    ],
)
def test_said_once(code: str) -> None:
    """Without terminal and IPython it is one line on standard error, however often and by whichever face."""
    done = script(code)
    assert (done.stdout, done.stderr) == ("", SENTENCE)


def test_said_by_each_process() -> None:
    """An empty variable names nothing, and a process that a script starts says it for itself."""
    code = f"{IMPORT}import subprocess\nsubprocess.run([sys.executable, '-c', {CONNECT!r}])\n{CONNECT}"
    assert script(code, HERCLE_ENV=" ", HERCLE_API_KEY=" ").stderr == SENTENCE * 2


@pytest.mark.parametrize("code", [f"{IMPORT}hercle.connect('simulator').close()", CONNECT, IMPORT])
def test_not_said_where_it_is_named(code: str) -> None:
    """Who named the simulator, by argument or variable, or connected to nothing, is told nothing."""
    variables = {"HERCLE_ENV": "simulator"} if code == CONNECT else {}
    assert script(code, **variables).stderr == ""


def test_not_said_of_a_hub(simulator: HubProcess) -> None:
    """A hub that a URL and a key lead to is none."""
    code = f"{IMPORT}hercle.connect(url={simulator.url!r}, api_key={KEY!r}, journal=False).close()"
    assert script(code).stderr == ""


@pytest.mark.parametrize(
    "stream", ["sys.stderr = None", "sys.stderr.close()", "sys.stderr = open('/dev/full', 'w')"]
)
def test_no_standard_error(stream: str) -> None:
    """Where nothing can be said, under pythonw or on a full disk, connecting goes on as ever."""
    code = f"import sys\n{stream}\n{IMPORT}hub = hercle.connect()\nprint(hub.environment)\nhub.close()"
    done = script(f"{code}\nsys.stderr = None")
    assert (done.stdout, done.stderr) == ("simulator\n", "")


def test_not_said_on_a_terminal() -> None:
    """On a terminal, where a repr would be seen, nothing is said."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", f"{CONNECT}print('done')"]
    with subprocess.Popen(command, env=environment(), stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while b"done\r\n" not in seen:
            seen += os.read(ours, 1_000)
        assert process.wait(60) == 0
    os.close(ours)
    assert seen == b"done\r\n"


@pytest.mark.parametrize("options", [["-i"], ["-i", "-"]])
def test_not_said_at_a_prompt(options: list[str]) -> None:
    """At Python's own prompt nothing is said, whatever is between it and whoever types."""
    done = script("", *options, given=f"{CONNECT}print('done')\n")
    assert "done" in done.stdout
    assert SENTENCE not in done.stderr


@MARKS
def test_not_said_in_a_notebook(tmp_path: Path) -> None:
    """A notebook shows the repr, and nothing on standard error."""
    with kernel(tmp_path / "kernel") as client:
        run_queued(
            client,
            [
                "import io, sys\nsys.stderr = io.StringIO()",
                CONNECT,
                f"assert sys.stderr.getvalue() == '', {SENTENCE!r}",
            ],
        )


def test_a_recording_says_it_itself(tmp_path: Path) -> None:
    """``hercle-nb record`` names the environment in its own line, and says it no second time."""
    with running("record", str(tmp_path / "events")) as process:
        assert "/ExecutionLiveServer/v1 (simulator) in " in line_with(process, "Recording")
        assert ended(process)[0::2] == (0, "")
