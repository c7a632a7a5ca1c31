"""The command ``hercle-nb``: help, wrong usage, exit codes, completion, the simulator."""

from __future__ import annotations

import re
import socket
import subprocess
import sys

import pytest

import hercle_nb as hercle
from tests.commands_run import ended, line_with, run, running

COMMANDS = ["demo", "app", "simulator", "record", "doctor"]


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=["itself", *COMMANDS])
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(command: list[str], option: str) -> None:
    """Each command says what it does, and every option what it is for."""
    done = run(*command, option)
    assert (done.returncode, done.stderr) == (0, "")
    name, _, described = done.stdout.partition("\n\n")
    assert name.startswith(f"Usage: {' '.join(['hercle-nb', *command])} ")
    assert described.strip()
    options = re.findall(r"^  (?:-h, )?(--[\w-]+).*?(?:  |\n)", done.stdout, re.M)
    assert "--help" in options
    assert "key" not in " ".join(options)


def test_every_command_is_in_the_help() -> None:
    """The help names each command with a line that is not cut off."""
    lines = run("--help").stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(COMMANDS)
    assert not [line for line in lines if line.endswith("...")]


def test_help_is_quick() -> None:
    """Help and completion import neither pandas nor anything that talks to a network."""
    program = """
import sys
from click.testing import CliRunner
from hercle_nb.cli import main
result = CliRunner().invoke(main, ["record", "--help"])
print(result.exit_code, sorted({"pandas", "aiohttp", "ipywidgets", "sqlalchemy"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "0 []\n"


def test_version() -> None:
    """The version is the package's."""
    assert run("--version").stdout == f"hercle_nb, version {hercle.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["doctor", "--nonsense"],
        ["doctor", "--environment", "moon"],
        ["record"],
        ["record", "events", "--api-key", "secret-of-mine"],
        ["simulator", "--port", "70000"],
        ["simulator", "--port", "8.888"],
        ["app", "--port", "8,000"],
        ["demo", "--port", "８８８８"],
        ["record", "events", "--url", "https://secret-of-mine@host/hub"],
        ["record", "events", "--url", "http://host.example/hub"],
        ["record", "events", "--url", "https://hub..example/v1"],
        ["record", "events", "--environment", "sandbox"],
        ["record", __file__],
    ],
    ids=" ".join,
)
def test_wrong_usage(arguments: list[str]) -> None:
    """Wrong usage is exit status 2, with how it is used and what is wrong."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: hercle-nb ")
    assert "Error: " in done.stderr
    assert "secret-of-mine" not in done.stderr


def test_ports_have_one_reading() -> None:
    """A port with a mark in it is refused with both readings, by the simulator's own program too."""
    own = run_simulator("--port", "8.000")
    for done in (run("simulator", "--port", "8.000"), own):
        assert done.returncode == 2
        assert "'8.000' is 8 or 8 thousand; write 8 or 8000." in done.stderr
    assert "is no whole number; write digits alone." in run_simulator("--port", "x").stderr


def run_simulator(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the simulator's own program to its end."""
    return subprocess.run(
        [sys.executable, "-m", "hercle_nb.simulator", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_completion() -> None:
    """A shell completes commands, options and their values."""

    def completed(line: str) -> list[str]:
        words = line.split(" ")
        done = run(
            _HERCLE_NB_COMPLETE="bash_complete", COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1)
        )
        return [entry.partition(",")[2] for entry in done.stdout.splitlines()]

    assert completed("hercle-nb do") == ["doctor"]
    assert set(completed("hercle-nb doctor --")) == {"--url", "--environment", "--help"}
    assert completed("hercle-nb doctor --environment sa") == ["sandbox"]


@pytest.mark.parametrize("signal", ["SIGINT", "SIGTERM"])
def test_simulator(signal: str) -> None:
    """It says where it listens and a key of its own, takes both, and ends in order."""
    with running("simulator", "--port", "0", HERCLE_API_KEY="a-real-key") as process:
        url = line_with(process, "listening on ").split()[-1]
        key = line_with(process, "key ").split()[-1]
        assert key != "a-real-key"
        with hercle.connect(url=url, api_key=key, journal=False) as hub:
            assert hub.create_invoice(amount_sat=5).amount_msat == 5_000
        assert ended(process, signal) == (0, "", "")


def test_simulator_without_a_port() -> None:
    """A port that is taken is exit status 1 and a sentence."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("simulator", "--port", str(taken.getsockname()[1]))
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"Error: The simulator cannot listen on .*; choose another port.*\n", done.stderr)
