"""How far ``hercle-nb doctor`` comes on the way to a hub: settings, DNS, TLS, the key, a round trip."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from hercle_nb._signalr.failures import AttemptFailed
from hercle_nb._signalr.negotiate import negotiate
from hercle_nb.cli.finding import Finding
from hercle_nb.cli.settings import settings
from hercle_nb.config import is_loopback, resolve, resolve_environment
from hercle_nb.errors import CommandRejected, ConfigurationError, HercleError, JournalError
from hercle_nb.hub import connect
from hercle_nb.journal.place import find_place
from hercle_nb.states import followed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hercle_nb.config import ApiKey, Settings

_TIMEOUT = 10.0  # seconds for each step
_SKEW = 30.0  # seconds; HTTP tells the hub's time in whole ones, and a network takes some
_EXPIRES_SOON = 14  # days
_BLOCKED = "A firewall may be in the way: ask for outgoing HTTPS and WebSockets to this host"


def hub(environment: str | None, url: str | None) -> Iterator[Finding]:
    """Go the way of a connection step by step, and no further than it leads."""
    try:
        where = resolve(resolve_environment(environment, has_url=url is not None), lambda: "", url)
    except ConfigurationError as error:
        yield Finding("BAD", str(error))
        return
    yield Finding("ok", f"the environment is {where.environment}")
    if where.url is None:
        yield _simulator_key()
        yield from _round_trip(where)
        return
    yield Finding("ok", f"the hub is {where.url}")
    try:
        found: Settings | None = settings(where.environment, url)
    except ConfigurationError as error:  # the way to the hub can be looked at without a key
        found = None
        yield Finding("BAD", str(error))
    else:
        yield Finding("ok", f"there is a key, from {found.key.source if found and found.key else 'nowhere'}")
    yield _journal(where.environment)
    for step in _steps(where.url, found):
        findings = list(step())
        yield from findings
        if any(finding.mark == "BAD" for finding in findings):
            return


def _steps(url: str, found: Settings | None) -> Iterator[Callable[[], Iterable[Finding]]]:
    """What can be tried, the first steps first."""
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 443
    if (proxy := _proxy(url)) is not None:
        yield lambda: [Finding("note", f"the connection goes through the proxy {proxy}")]
    else:
        if not is_loopback(url):
            yield lambda: [_dns(host)]
        if url.startswith("https:"):
            yield lambda: [_tls(host, port)]
    if found is not None:
        yield lambda: _negotiate(url, found.key)
        yield lambda: _round_trip(found)


def _simulator_key() -> Finding:
    if os.environ.get("HERCLE_API_KEY", "").strip():
        return Finding("note", "the key in HERCLE_API_KEY is not used by the simulator")
    return Finding("ok", "no key, and none is needed")


def _journal(environment: str) -> Finding:
    """Whether the environment's own file can be the journal; none is made."""
    place = find_place(None, environment)
    if place is None or place.file is None:
        return Finding("ok", "there is no journal")
    try:
        place.check_file()
    except JournalError as error:
        return Finding("BAD", str(error))
    return Finding("ok", f"the journal is {place}{'' if place.file.exists() else ', made when it is needed'}")


def _dns(host: str) -> Finding:
    try:
        addresses = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError as error:
        return Finding(
            "BAD",
            f"DNS: the host {host} is unknown ({error.strerror or error})",
            "Check the URL, that this computer is online, and whether it needs a VPN or HTTPS_PROXY",
        )
    return Finding("ok", f"DNS: {host} is {', '.join(sorted(addresses))}")


def _tls(host: str, port: int) -> Finding:
    try:
        with (
            socket.create_connection((host, port), timeout=_TIMEOUT) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure,
        ):
            used, certificate = secure.version(), secure.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return Finding(
            "BAD",
            f"TLS: the certificate of {host} is not trusted ({error.verify_message.rstrip('.')})",
            "Check this computer's clock; where a proxy of your company opens TLS, set SSL_CERT_FILE to a "
            "file with its certificate before Jupyter starts. There is no switch to trust it anyway",
        )
    except OSError as error:
        why = "nothing came back" if isinstance(error, TimeoutError) else error.strerror or error
        return Finding("BAD", f"TLS: {host} on port {port}: {why}", _BLOCKED)
    days = (ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) / 86_400
    mark = "note" if days < _EXPIRES_SOON else "ok"
    return Finding(mark, f"TLS: {used}, the certificate is good for another {days:.0f} days")


def _negotiate(url: str, key: ApiKey | None) -> Iterator[Finding]:
    if key is None:
        return
    began = time.perf_counter()
    try:
        negotiated = asyncio.run(negotiate(url, key.ask(), key.source, timeout=_TIMEOUT))
    except AttemptFailed as failure:
        yield Finding("BAD", f"negotiate: {failure.error}")
        return
    except ConfigurationError as error:  # the key, where a callable gives it
        yield Finding("BAD", f"negotiate: {error}")
        return
    yield Finding("ok", f"negotiate: the hub takes the key, in {_ms(began)}")
    yield _clock(negotiated.clock_ahead)


def _clock(ahead: float | None) -> Finding:
    """How the hub's clock and this computer's agree."""
    if ahead is None:
        return Finding("note", "clock: the hub does not tell the time, so invoices expire by this computer's")
    if abs(ahead) <= _SKEW:
        return Finding("ok", "clock: at one with the hub's")
    off = f"{abs(ahead):,.0f} s {'behind' if ahead > 0 else 'ahead of'} the hub's"
    means = (
        "which invoices here follow; wallets and other programs on this computer do not"
        if followed(ahead)
        else "which is too far for invoices here to follow it"
    )
    return Finding(
        "note",
        f"clock: this computer's is {off}, {means}",
        "Let this computer set its clock by the network",
    )


def _round_trip(found: Settings) -> Iterator[Finding]:
    """Connect as a notebook does, and ask for something that changes nothing."""
    key: Any = found.key  # an ApiKey: errors say where it came from
    try:
        with connect(found.environment, api_key=key, url=found.url, journal=False, timeout=_TIMEOUT) as hub:
            began = time.perf_counter()
            try:
                hub.command("GetBalances")
            except CommandRejected as refused:
                yield Finding("note", f"round trip: the hub refuses GetBalances in {_ms(began)}: {refused}")
            else:
                yield Finding("ok", f"round trip: the hub answers in {_ms(began)}")
    except HercleError as error:
        yield Finding(
            "BAD", f"round trip: {error}", "" if is_loopback(found.url or "http://127.0.0.1") else _BLOCKED
        )


def _proxy(url: str) -> str | None:
    """Host and port of the proxy that a URL is reached through."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if proxy is None or is_loopback(url) or proxy_bypass(parts.hostname or ""):
        return None
    try:
        return urlsplit(proxy if "://" in proxy else f"//{proxy}").netloc.rpartition("@")[2]  # no password
    except ValueError:
        return "that the variable HTTPS_PROXY or HTTP_PROXY names, which cannot be read"


def _ms(began: float) -> str:
    return f"{(time.perf_counter() - began) * 1_000:.0f} ms"
