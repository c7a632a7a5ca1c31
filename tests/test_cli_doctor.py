"""``hercle-nb doctor``: what it finds, what it advises, and that it changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from hercle_nb._signalr import negotiate
from hercle_nb.cli import installed, reach
from hercle_nb.config import resolve
from tests.commands_run import run
from tests.journals import sent
from tests.lenient import NEGOTIATED, lenient_server
from tests.scripted import scripted_hub
from tests.servers import KEY, self_signed

if TYPE_CHECKING:
    from tests.scripted import ScriptedHub
    from tests.servers import HubProcess


def findings(text: str) -> list[tuple[str, str]]:
    """Mark and text of each finding that was printed."""
    whole = text.replace("\n      ", " ")  # long ones are wrapped
    lines = [line for line in whole.splitlines() if line[:6] in ("ok    ", "note  ", "BAD   ")]
    return [(line[:6].strip(), line[6:]) for line in lines]


def bad(text: str) -> list[str]:
    """The findings that are marked as broken."""
    return [found for mark, found in findings(text) if mark == "BAD"]


def test_simulator_without_a_key() -> None:
    """Without a key it goes all the way to the simulator, and finds nothing broken."""
    done = run("doctor")
    assert (done.returncode, done.stderr, bad(done.stdout)) == (0, "", [])
    assert sys.executable in done.stdout
    assert "ok    the environment is simulator\n" in done.stdout
    assert "round trip: the hub answers in " in done.stdout
    assert done.stdout.endswith("Nothing is broken.\n")


def test_all_the_way(server: HubProcess) -> None:
    """With a right key each step is tried, the key is not shown, nothing is created, no journal made."""
    done = run("doctor", "--url", server.url, HERCLE_API_KEY=KEY)
    assert (done.returncode, done.stderr, bad(done.stdout)) == (0, "", [])
    said = [text for _, text in findings(done.stdout)]
    begins = ["the environment is sandbox", f"the hub is {server.url}", "there is a key, from the variable"]
    begins += [
        "the journal is",
        "negotiate: the hub takes the key",
        "clock: at one",
        "round trip: the hub answers",
    ]
    assert [text for text in said if text.startswith(tuple(begins))] == said[-len(begins) :]
    assert KEY not in done.stdout
    assert server.created() == 0
    assert not Path(os.environ["XDG_DATA_HOME"]).exists()


def test_refused_key(server: HubProcess) -> None:
    """A key that the hub refuses is found at negotiate, and nothing is tried after that."""
    done = run("doctor", "--url", server.url, HERCLE_API_KEY="wrong-key")
    assert done.returncode == 1
    [found] = bad(done.stdout)
    assert found.startswith(
        f"negotiate: The hub at {server.url} refused the API key from the variable HERCLE_API_KEY"
    )
    assert "wrong-key" not in done.stdout
    assert "round trip" not in done.stdout
    assert sent(server, "GetBalances") == 0


def test_no_key(server: HubProcess) -> None:
    """Without a key, and nobody to ask, the way to the hub is looked at all the same."""
    done = run("doctor", "--url", server.url)
    assert done.returncode == 1
    [found] = bad(done.stdout)
    advice = "set the variable HERCLE_API_KEY, or run this in a terminal to be asked."
    assert found.startswith(f"No API key for sandbox: {advice}")
    assert findings(done.stdout)[-1][1].startswith("the journal is ")


def test_key_with_a_space(server: HubProcess) -> None:
    """A key that cannot be one is said to be none, and not shown."""
    done = run("doctor", "--url", server.url, HERCLE_API_KEY="half a-key")
    [found] = bad(done.stdout)
    assert found.startswith("The API key from the variable HERCLE_API_KEY is empty or holds spaces")
    assert "half" not in done.stdout


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://hub.invalid/v1", "DNS: the host hub.invalid is unknown"),
        (
            "http://127.0.0.1:9/hub",
            "negotiate: No hub answers at http://127.0.0.1:9/hub: the connection was refused",
        ),
        ("https://127.0.0.1:9/hub", "TLS: 127.0.0.1 on port 9: Connection refused"),
        (f"https://{'a' * 64}.example/v1", "The url's host aaaa"),
        ("https://user:pw@hub.invalid/v1", "The url holds a user or password"),
        ("https://publicapi.hercle.financial/x", "publicapi.hercle.financial is the production hub"),
    ],
)
def test_unreachable(url: str, said: str) -> None:
    """Where the way ends is one finding, with what to do."""
    done = run("doctor", "--url", url, HERCLE_API_KEY=KEY)
    assert done.returncode == 1
    [found] = bad(done.stdout)
    assert found.startswith(said)
    assert " -> " in found or "; " in found or "too long" in found


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
@pytest.mark.parametrize("trusted", [False, True])
def test_certificate(tmp_path: Path, *, trusted: bool) -> None:
    """A certificate that is not trusted is told from no answer; one that is tells its days."""
    made, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    with lenient_server(tls=context) as server:
        variables = {"SSL_CERT_FILE": str(made)} if trusted else {}
        done = run("doctor", "--url", server.url, HERCLE_API_KEY=KEY, **variables)
    if trusted:
        assert "TLS: TLSv1.3, the certificate is good for another " in done.stdout
    else:
        [found] = bad(done.stdout)
        assert found.startswith("TLS: the certificate of 127.0.0.1 is not trusted (self-signed certificate)")
        assert "SSL_CERT_FILE" in found


@pytest.mark.parametrize(
    ("seconds", "said", "means"),
    [
        (3_600, "behind", "invoices here follow"),
        (-3_600, "ahead of", "invoices here follow"),
        (90_000, "behind", "too far for invoices here to follow"),
        (5, "", ""),
    ],
)
def test_clock(
    monkeypatch: pytest.MonkeyPatch, server: HubProcess, seconds: int, said: str, means: str
) -> None:
    """A clock that is off is told by how much, which way, and what that means."""
    clock = time.time

    class Clock:
        time = staticmethod(lambda: clock() - seconds)

    monkeypatch.setattr(negotiate, "time", Clock)
    found = list(reach._negotiate(server.url, resolve("sandbox", KEY, server.url).key))
    [line] = [finding for finding in found if finding.text.startswith("clock: ")]
    if said:
        number = int(
            line.text.removeprefix("clock: this computer's is ").partition(" s ")[0].replace(",", "")
        )
        assert abs(number - abs(seconds)) <= 2
        assert f" s {said} the hub's, which" in line.text
        assert means in line.text
        assert "set its clock" in line.advice
    assert (line.mark, line.text == "clock: at one with the hub's") == (
        ("note", False) if said else ("ok", True)
    )


@pytest.mark.parametrize("date", ["", "soon", "Fri, 31 Dec 99999 23:59:59 GMT"])
def test_no_clock(date: str) -> None:
    """A hub that does not tell the time, or in no way that can be read, is a note."""
    with lenient_server() as lenient:
        lenient.negotiate = lambda _: web.json_response(NEGOTIATED, headers={"Date": date})
        *_, line = reach._negotiate(lenient.url, resolve("sandbox", KEY, lenient.url).key)
    assert (line.mark, line.text) == (
        "note",
        "clock: the hub does not tell the time, so invoices expire by this computer's",
    )


def test_proxy(server: HubProcess) -> None:
    """A proxy is named without its password, and this machine's own hubs are reached without it."""
    variables = {"HTTPS_PROXY": "http://me:secret@127.0.0.1:9", "HTTP_PROXY": "http://me:secret@127.0.0.1:9"}
    done = run("doctor", "--url", "https://hub.invalid/v1", HERCLE_API_KEY=KEY, **variables)
    assert ("note", "the connection goes through the proxy 127.0.0.1:9") in findings(done.stdout)
    assert bad(done.stdout)[0].startswith("negotiate: ")
    assert "secret" not in done.stdout + done.stderr
    assert run("doctor", "--url", server.url, HERCLE_API_KEY=KEY, **variables).returncode == 0


def test_hub_that_refuses_balances() -> None:
    """A hub that answers with a refusal has answered."""
    with scripted_hub() as server:
        server.mode(hubError="NOT_ALLOWED: balances are not for this key")
        [found] = reach._round_trip(resolve("sandbox", KEY, server.url))
    assert found.mark == "note"
    assert found.text.startswith("round trip: the hub refuses GetBalances in ")


@pytest.mark.parametrize("proxy", ["http://[bad", "http://me:secret@host:99999"])
def test_proxy_that_cannot_be_read(proxy: str) -> None:
    """A variable that names no proxy is named, its password is not shown."""
    done = run("doctor", "--url", "https://hub.invalid/v1", HERCLE_API_KEY=KEY, HTTPS_PROXY=proxy)
    assert done.returncode == 1
    assert bad(done.stdout)[0].endswith("HTTPS_PROXY or HTTP_PROXY cannot be read; write http://host:port.")
    assert "secret" not in done.stdout + done.stderr


def test_hub_that_says_nothing(any_server: HubProcess | ScriptedHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that takes a query and never answers it is found."""
    monkeypatch.setattr(reach, "_TIMEOUT", 1.0)
    any_server.mode(noReply=True)
    found = list(reach._round_trip(resolve("sandbox", KEY, any_server.url)))
    assert [finding.mark for finding in found] == ["BAD"]


def test_journal_that_is_none(server: HubProcess) -> None:
    """A journal that cannot be one is found before a notebook finds it, and left as it is."""
    file = Path(os.environ["XDG_DATA_HOME"]) / "hercle_nb" / "sandbox.sqlite3"
    file.parent.mkdir(parents=True)
    file.write_text("a letter to the editor")
    done = run("doctor", "--url", server.url, HERCLE_API_KEY=KEY)
    assert done.returncode == 1
    [found] = bad(done.stdout)
    assert "it is no SQLite database" in found
    assert file.read_text() == "a letter to the editor"
    assert "round trip: the hub answers" in done.stdout


def test_journal_below_a_file(server: HubProcess) -> None:
    """A data folder that is no folder is found too."""
    Path(os.environ["XDG_DATA_HOME"]).write_text("no folder")
    [found] = bad(run("doctor", "--url", server.url, HERCLE_API_KEY=KEY).stdout)
    assert "it cannot be opened; look whether its folder is there and writable" in found


@pytest.mark.parametrize(
    ("ipykernel", "nest2", "mark", "said", "advice"),
    [
        ("7.4.0", "", "note", "ipykernel 7.4.0 with nest-asyncio loses", "nest-asyncio2>=1.7.4"),
        ("7.1.0", "1.7.3", "note", "ipykernel 7.1.0 with nest-asyncio loses", "nest-asyncio2>=1.7.4"),
        ("6.29.5", "", "BAD", "ipykernel 6.29.5 was never tried", "ipykernel>=6.31"),
        ("7.0.1", "", "note", "ipykernel 7.0.1 loses what other packages'", "--upgrade ipykernel"),
        ("7.4.0", "1.7.4", "ok", "ipykernel 7.4.0 and nest-asyncio2 1.7.4", ""),
        ("6.31.0", "", "ok", "ipykernel 6.31.0 and nest-asyncio 1.6.0", ""),
        ("", "", "note", "no kernel in this Python", ""),
    ],
)
def test_known_combinations(
    monkeypatch: pytest.MonkeyPatch, ipykernel: str, nest2: str, mark: str, said: str, advice: str
) -> None:
    """Combinations that are known to go wrong are named, with what to install."""
    versions = {"ipykernel": ipykernel, "nest-asyncio2": nest2, "nest-asyncio": "1.6.0"}
    monkeypatch.setattr(installed, "_version", versions.__getitem__)
    monkeypatch.setattr(installed, "_kernel_of_jupyter", lambda: iter(()))
    [found] = installed.jupyter()
    assert (found.mark, found.text[: len(said)]) == (mark, said)
    assert advice in found.advice


def test_kernel_of_another_python(tmp_path: Path) -> None:
    """A kernel that starts another Python is noticed, and how to make one of this Python is said."""
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    other = tmp_path / "bin" / "python"  # as in another virtual environment of the same Python
    other.parent.mkdir()
    other.symlink_to(Path(sys.executable).resolve())
    spec = {"argv": [str(other), "-m", "ipykernel"], "display_name": "Other", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    done = run("doctor", JUPYTER_PATH=str(tmp_path), JUPYTER_PREFER_ENV_PATH="0")
    [found] = [text for mark, text in findings(done.stdout) if mark == "note" and str(other) in text]
    assert "-> " + str(Path(sys.executable).parent) in found
    assert "-m ipykernel install --user --name hercle" in found
    assert done.returncode == 0


def test_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is missing or too old is named with the command that mends it; an extra's is a note."""
    real = installed._version
    wrong = {"pandas": "2.3.3", "voila": "", "psycopg": ""}
    monkeypatch.setattr(installed, "_version", lambda name: wrong.get(name, real(name)))
    found = {finding.text.split(" ")[0]: finding for finding in installed.packages() if finding.mark != "ok"}
    pip = f"{sys.executable} -m pip install"
    assert (found["pandas"].mark, found["pandas"].text) == ("BAD", "pandas 2.3.3 is not >=3")
    assert found["pandas"].advice == f"{pip} 'pandas>=3'"
    notes = [finding for finding in found.values() if finding.mark == "note"]
    listed = [finding for finding in installed.packages() if finding.mark == "note"]
    assert notes
    assert [(finding.text.split(" (")[0], finding.advice) for finding in listed] == [
        ("not installed: voila", f"{pip} 'hercle_nb[lab]'"),
        ("not installed: psycopg", f"{pip} 'hercle_nb[postgres]'"),
    ]


def test_package_that_cannot_be_imported(tmp_path: Path) -> None:
    """Where a package is broken the others are looked at all the same, and there is no traceback."""
    (tmp_path / "aiohttp.py").write_text("raise ImportError('half of it is missing')")
    done = run("doctor", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert bad(done.stdout) == [
        "the connection cannot be tried: half of it is missing -> Mend the packages first"
    ]


def test_everything_of_the_metadata_is_looked_at() -> None:
    """Every package that the metadata asks for is in a finding."""
    text = " ".join(finding.text for finding in installed.packages())
    for name in ("pysignalr", "sqlalchemy", "jupyterlab", "openpyxl", "psycopg", "pyarrow"):
        assert f"{name} " in text
