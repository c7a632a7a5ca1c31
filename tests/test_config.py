"""Which hub, with which key: every way of saying it, and every contradiction."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
import textwrap
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hercle_nb.config import HUB_URLS, ApiKey, Secret, is_loopback, resolve
from hercle_nb.errors import ConfigurationError

KEY = "sk-made-up-0123456789"
HOST = "https://hub.example.test/ExecutionLiveServer/v1"


def settle(
    environment: str | None = None,
    api_key: Any = None,
    url: Any = None,
    *,
    allow_insecure: bool = False,
    **variables: str,
) -> tuple[str, str | None, str | None]:
    """Return the environment, the URL and the key that the arguments and variables add up to."""
    found = resolve(environment, api_key, url, allow_insecure=allow_insecure, variables=variables)
    return found.environment, found.url, None if found.key is None else str(found.key.ask())


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        ({}, "simulator"),
        ({"api_key": KEY}, "sandbox"),
        ({"api_key": lambda: KEY}, "sandbox"),
        ({"HERCLE_API_KEY": KEY}, "sandbox"),
        ({"HERCLE_API_KEY": "  "}, "simulator"),
        ({"api_key": KEY, "url": HOST}, "sandbox"),
        ({"environment": "production", "api_key": KEY}, "production"),
        ({"environment": "simulator", "HERCLE_API_KEY": KEY}, "simulator"),
        ({"HERCLE_ENV": "production", "HERCLE_API_KEY": KEY}, "production"),
        ({"HERCLE_ENV": " sandbox\n", "HERCLE_API_KEY": KEY}, "sandbox"),
        ({"HERCLE_ENV": "", "HERCLE_API_KEY": KEY}, "sandbox"),
        ({"HERCLE_ENV": "simulator", "HERCLE_API_KEY": KEY}, "simulator"),
        ({"HERCLE_ENV": "production", "environment": "sandbox", "api_key": KEY}, "sandbox"),
        ({"HERCLE_ENV": "simulator", "url": HOST, "api_key": KEY}, "sandbox"),
        ({"HERCLE_ENV": "production", "url": HOST, "api_key": KEY}, "production"),
    ],
)
def test_environment(arguments: dict[str, Any], environment: str) -> None:
    """The argument outranks HERCLE_ENV, a key or a url means the sandbox, and nothing means the simulator."""
    found, url, key = settle(**arguments)
    assert found == environment
    expected = arguments.get("url", HUB_URLS.get(environment))
    assert (url, key) == (expected, None if environment == "simulator" else KEY)


def test_the_documented_urls() -> None:
    """The hubs' addresses are those of the documentation, and a final slash is left off."""
    assert HUB_URLS == {
        "sandbox": "https://publicapi.sandbox.hercle.financial/ExecutionLiveServer/v1",
        "production": "https://publicapi.hercle.financial/ExecutionLiveServer/v1",
    }
    assert settle(url=f"{HOST}/", api_key=KEY)[1] == HOST


def test_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mapping of variables the process's own are read, as of now."""
    assert resolve(None, None, None).environment == "simulator"
    monkeypatch.setenv("HERCLE_API_KEY", KEY)
    assert resolve(None, None, None).environment == "sandbox"
    monkeypatch.setenv("HERCLE_ENV", "production")
    assert resolve(None, None, None).environment == "production"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"environment": "live"}, "environment must be one of simulator, sandbox, production, not 'live'"),
        ({"environment": "Sandbox"}, "environment must be one of"),
        ({"environment": ""}, "environment must be one of"),
        ({"environment": 5}, "environment must be one of simulator, sandbox, production, not 5"),
        ({"HERCLE_ENV": "prod"}, "the variable HERCLE_ENV must be one of"),
        ({"HERCLE_ENV": "prod", "url": HOST}, "the variable HERCLE_ENV must be one of"),
        ({"environment": "simulator", "url": HOST}, "takes no url; leave out the environment"),
        (
            {"environment": "sandbox"},
            'No API key for sandbox: set the variable HERCLE_API_KEY, or write api_key="ask"',
        ),
        ({"environment": "production", "HERCLE_API_KEY": " "}, "No API key for production"),
        ({"url": HOST}, "No API key for sandbox"),
    ],
)
def test_settings_that_are_refused(arguments: dict[str, Any], words: str) -> None:
    """What is unknown, missing or contradicts another is refused with what to write."""
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        settle(**arguments)


# -- the url -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:8765/hub", "http://localhost/hub", "http://LOCALHOST:1", "http://[::1]:8765/v1"),
        *("http://127.8.9.10/x", "https://127.0.0.1/x", HOST, "https://10.0.0.7:8443/hub?tenant=a&lang=en"),
        *("https://xn--mnchen-3ya.example/hub", "HTTPS://HUB.EXAMPLE.TEST/v1"),
        *("https://hub.example.test./v1", f"https://{'a' * 63}.example.test"),
    ],
)
def test_url_that_is_taken(url: str) -> None:
    """Any https address is taken, and plain http to this machine."""
    assert settle(url=url, api_key=KEY) == ("sandbox", url, KEY)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (
            "http://hub.example.test/v1",
            "Plain http would show the key to everybody on the way to hub.example",
        ),
        ("http://10.0.0.7/v1", "write https://, or allow_insecure=True for a network you trust"),
        ("http://localhost.example.test/", "Plain http"),
        ("http://127.0.0.1.example.test/", "Plain http"),
        ("http://0.0.0.0/", "Plain http"),
        ("http://[::2]/", "Plain http"),
        ("https://publicapi.hercle.financial/ExecutionLiveServer/v1", 'write environment="production" too'),
        ("https://PublicAPI.Hercle.Financial:443/x", "is the production hub, where invoices are real"),
        ("https://publicapi.hercle.financial./x", "is the production hub"),
        ("https://publicapi.hercle\uff0efinancial/x", "host must be ASCII"),
        ("https://publicapi\u3002hercle.financial/x", "host must be ASCII"),
        ("https://\u24dfublicapi.hercle.financial/x", "host must be ASCII"),
        ("https://hub..example.test/v1", "a part of it is empty or too long"),
        ("https://.example.test/v1", "a part of it is empty or too long"),
        (f"https://{'a' * 64}.example.test/v1", "a part of it is empty or too long"),
        ("wss://hub.example.test/v1", "must have the form https://host/path"),
        ("hub.example.test/v1", "must have the form https://host/path"),
        ("ftp://hub.example.test/", "must have the form"),
        ("https:///v1", "must have the form"),
        ("https://hub.example.test/v1#part", "without spaces or a #fragment"),
        ("https://hub.example.test/a b", "without spaces"),
        (" https://hub.example.test/", "without spaces"),
        ("https://hub.example.test/v1\n", "without spaces"),
        ("", "must have the form"),
        ("https://[::1/v1", "cannot be read; write https://host/path"),
        ("https://hub.example.test:99999/", "cannot be read"),
        ("https://hub.example.test:port/", "cannot be read"),
        (b"https://hub.example.test/?a=1", "must be a text, not bytes"),
        (5, "must be a text, not int"),
    ],
)
def test_url_that_is_refused(url: Any, words: str) -> None:
    """What is no address, would show the key, or reaches production unasked is refused with what to write."""
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        settle(url=url, api_key=KEY)


def test_url_of_production() -> None:
    """The production host is reached only by name; the sandbox's and other hosts may stand for production."""
    for url in (HUB_URLS["production"], HUB_URLS["sandbox"], HOST):
        assert settle("production", KEY, url) == ("production", url, KEY)
    with pytest.raises(ConfigurationError, match="production hub"):
        settle("sandbox", KEY, HUB_URLS["production"])


@pytest.mark.parametrize(
    "query", ["access_token", "token", "api_key", "apiKey", "KEY", "password", "secret", "auth"]
)
def test_url_with_a_secret_in_it(query: str) -> None:
    """A user, password or token in the url is refused, and no message or traceback shows it."""
    urls = (
        f"{HOST}?a=1&{query}={KEY}",
        f"{HOST}?{query}",
        f"https://{KEY}@h.test/",
        f"https://a:{KEY}@h.test/",
    )
    for url in urls:
        with pytest.raises(ConfigurationError, match="give the key as api_key or HERCLE_API_KEY") as caught:
            settle(url=url, api_key=KEY)
        assert KEY not in str(caught.value)


def test_allow_insecure() -> None:
    """The switch allows plain http anywhere but lifts no other rule."""
    url = "http://hub.example.test/v1"
    assert settle(url=url, api_key=KEY, allow_insecure=True) == ("sandbox", url, KEY)
    for other in ("http://publicapi.hercle.financial/x", f"http://h.test/?token={KEY}", "ftp://h.test/"):
        with pytest.raises(ConfigurationError):
            settle(url=other, api_key=KEY, allow_insecure=True)


@given(st.text() | st.text().map(lambda text: f"https://{text}") | st.from_regex(r"https?://[^/]*[/?].*"))
def test_any_url_is_taken_or_refused(url: str) -> None:
    """Whatever the text, it is an address or a ConfigurationError, and never production unasked."""
    with contextlib.suppress(ConfigurationError):
        assert settle(url=url, api_key=KEY)[0] == "sandbox"


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:1/x", True),
        ("https://127.255.255.254/", True),
        ("http://[::1]/", True),
        ("http://[::ffff:1.2.3.4]/", False),
        ("http://128.0.0.1/", False),
        ("http://localhost.test/", False),
        ("http://127.0.0.1@evil.test/", False),
        ("not a url", False),
    ],
)
def test_is_loopback(url: str, *, loopback: bool) -> None:
    """Only this machine's own addresses and `localhost` are loopback."""
    assert is_loopback(url) is loopback


# -- the key -----------------------------------------------------------------------------------------------


def test_key_outranks_the_variable() -> None:
    """The argument comes first, then HERCLE_API_KEY without the white space around it."""
    assert settle(api_key=KEY, HERCLE_API_KEY="other")[2] == KEY
    assert settle(HERCLE_API_KEY=f" {KEY}\n")[2] == KEY


def test_callable_is_asked_each_time() -> None:
    """A callable is not asked by resolving, and asked anew for each attempt to connect."""
    keys = iter(["first", "second"])
    key = resolve(None, lambda: next(keys), None, variables={}).key
    assert key is not None
    assert key.may_block
    assert [str(key.ask()), str(key.ask())] == ["first", "second"]
    with pytest.raises(ConfigurationError, match="the callable given as api_key raised StopIteration"):
        key.ask()


@pytest.mark.parametrize(
    "bad", ["", " ", f"{KEY} ", f"{KEY}\n", f"two {KEY}", f"{KEY}é", f"{KEY}\x00", f"\u200b{KEY}"]
)
def test_key_that_is_refused(bad: str) -> None:
    """An empty key, or one with spaces or odd characters, is refused by its source and never shown."""
    for source, given_key in (("the argument api_key", bad), ("the callable given as api_key", lambda: bad)):
        with pytest.raises(ConfigurationError, match=f"from {source} is empty or holds spaces") as caught:
            settle("sandbox", given_key)
        assert KEY not in str(caught.value)
    with pytest.raises(ConfigurationError, match="from the variable HERCLE_API_KEY is empty or") as caught:
        settle(HERCLE_API_KEY=f"two {bad}!")
    assert KEY not in str(caught.value)


def test_key_of_another_type() -> None:
    """A key that is no text is refused by its type, given or returned."""
    for given_key in (5, b"key", lambda: b"key", lambda: None):
        with pytest.raises(ConfigurationError, match=r"api_key gave (int|bytes|NoneType) instead of a text"):
            settle("sandbox", given_key)


def test_reprs_hide_the_key() -> None:
    """Neither the key's own repr nor that of what holds it shows it; as text it is the key."""
    secret = Secret(KEY)
    assert (repr(secret), str(secret), f"Bearer {secret}") == ("[secure]", KEY, f"Bearer {KEY}")
    assert repr({"key": secret}) == "{'key': [secure]}"
    settings = resolve("sandbox", KEY, None, variables={})
    assert repr(settings.key) == "ApiKey([secure], from the argument api_key)"
    assert settings.key is not None
    assert repr(settings.key.ask()) == "[secure]"
    assert not settings.key.may_block
    assert KEY not in f"{settings!r} {vars(settings.key)!r}"
    assert repr(ApiKey(lambda: KEY, "a vault")) == "ApiKey([secure], from a vault)"
    again = ApiKey.wrapped(settings.key)
    assert again is settings.key
    assert (ApiKey.wrapped(None), ApiKey.wrapped("ask")) == (None, "ask")


def test_traceback_hides_a_wrapped_key() -> None:
    """A traceback that shows locals does not show a key that was wrapped on the way in."""
    with pytest.raises(ConfigurationError) as caught:
        resolve("live", ApiKey.wrapped(KEY), None, variables={})
    text = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "api_key = ApiKey([secure], from the argument api_key)" in "".join(text.format())
    assert KEY not in "".join(text.format())


def test_ask_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal nobody can be asked for the key, and the message names the variable."""
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    with open(os.devnull) as nothing:
        for stdin in (nothing, None):
            monkeypatch.setattr(sys, "stdin", stdin)
            with pytest.raises(
                ConfigurationError, match="there is no terminal; set the variable HERCLE_API_KEY"
            ):
                settle(api_key="ask", HERCLE_API_KEY="not used")


def test_ask_on_a_terminal() -> None:
    """On a terminal the key is asked for by the environment's name, and typing it shows nothing."""
    ours, theirs = pty.openpty()
    program = """
        import os
        os.setsid()
        import fcntl, termios
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        from hercle_nb.config import resolve
        key = resolve("production", "ask", None, variables={}).key
        print(key, len(key.ask()))
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdin=theirs, stdout=theirs, stderr=theirs
    ) as done:
        os.close(theirs)
        shown = b""
        while b"Hercle API key (production): " not in shown:
            shown += os.read(ours, 1_000)
        os.write(ours, f"{KEY}\n".encode())
        while f"from the prompt) {len(KEY)}".encode() not in shown:
            shown += os.read(ours, 1_000)
        done.wait(30)
        os.close(ours)
    assert done.returncode == 0
    assert KEY.encode() not in shown
