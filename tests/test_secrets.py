"""The key goes out as a bearer token on two requests, and shows nowhere else."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

import hercle_nb as hercle
from tests.servers import KEY

if TYPE_CHECKING:
    from tests.servers import HubProcess


def test_no_log_record_holds_the_key(server: HubProcess) -> None:
    """With every logger at DEBUG, from connecting to closing, no record holds the key."""
    shown = io.StringIO()
    handler = logging.StreamHandler(shown)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)r"))
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with hercle.connect(url=server.url, api_key=KEY, journal=False) as hub:
            hub.create_invoice(0.001)
        with pytest.raises(hercle.AuthenticationError):
            hercle.connect(url=server.url, api_key="another-test-key")
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    assert "connected" in shown.getvalue() or "closed" in shown.getvalue()
    assert KEY not in shown.getvalue()


def test_no_repr_or_frame_holds_the_key(server: HubProcess) -> None:
    """Reprs, HTML, statistics, frames and the objects' own attributes do not show the key."""
    with hercle.connect(url=server.url, api_key=KEY, journal=False) as hub:
        invoice = hub.create_invoice(0.001)
        form = hub.form()
        shown = [
            *(repr(hub), hub._repr_html_(), repr(hub.aio), repr(hub.stats), repr(hub.log)),
            *(repr(invoice), invoice._repr_html_(), hub.events.to_csv()),
            repr(form.get_state()),
            *(
                repr(vars(part))
                for part in (hub, hub._core, hub._core.supervisor, hub._core.supervisor._transport)
            ),
            repr(vars(hub._core.supervisor._key)),
        ]
        form.close()
    for text in shown:
        assert KEY not in text


@pytest.mark.parametrize("fault", ["wrong key", "refused port", "server error", "not a hub"])
def test_no_traceback_holds_the_key(server: HubProcess, fault: str) -> None:
    """A traceback that shows every frame's variables, as IPython's verbose mode does, hides the key."""
    key = "sk-secret-0123456789" if fault == "wrong key" else KEY
    url = {"refused port": "http://127.0.0.1:9/hub", "not a hub": server.url.replace("v1", "v1/else")}.get(
        fault, server.url
    )
    if fault == "server error":
        server.mode(negotiateStatus=503, negotiateFailures=99)
    done = subprocess.run(
        [
            *(sys.executable, "-c"),
            textwrap.dedent(
                """
                import os, sys, traceback
                import hercle_nb as hercle
                try:
                    hercle.connect(url=sys.argv[1], api_key=sys.stdin.read(), timeout=0.5)
                except hercle.HercleError as error:
                    text = traceback.TracebackException.from_exception(error, capture_locals=True)
                    print("".join(text.format()))
                """
            ),
            url,
        ],
        input=key,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "hercle_nb" in done.stdout
    assert "[secure]" in done.stdout
    assert key not in done.stdout


def test_error_names_the_source_of_the_key(server: HubProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused key is named by where it came from, never by itself."""
    with pytest.raises(hercle.AuthenticationError, match="the argument api_key") as caught:
        hercle.connect(url=server.url, api_key="wrong-key-1")
    assert "wrong-key-1" not in str(caught.value)
    monkeypatch.setenv("HERCLE_API_KEY", "wrong-key-2")
    with pytest.raises(hercle.AuthenticationError, match="the variable HERCLE_API_KEY"):
        hercle.connect(url=server.url)
    with pytest.raises(hercle.AuthenticationError, match="the callable given as api_key"):
        hercle.connect(url=server.url, api_key=lambda: "wrong-key-3")
