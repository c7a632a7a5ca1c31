"""The HTTP request before the WebSocket: where to connect, under which id, with which token.

Ours instead of pysignalr's, which sends no key on the first connection and loses what a refusal says
(measured on 1.3.3).
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from hercle_nb import _json
from hercle_nb._signalr.failures import (
    AttemptFailed,
    Finality,
    key_would_leave,
    not_a_hub,
    refused_by_status,
    unreachable,
)
from hercle_nb.config import Secret, is_loopback

MAX_REDIRECTS = 10
_MAX_ANSWER = 65_536  # bytes; an honest answer has less than one thousand


@dataclass(frozen=True)
class Negotiated:
    """Where the WebSocket goes and what it carries.

    Attributes:
        url: http(s), with the connection's id.
        headers: The upgrade's headers, the token among them.
        clock_ahead: Seconds that the hub's clock is ahead of ours, by its ``Date`` header; None where that
            cannot be told.
    """

    url: str
    headers: dict[str, str]
    clock_ahead: float | None = None


async def negotiate(url: str, key: Secret, key_source: str, *, timeout: float) -> Negotiated:
    """Ask the hub for a connection, following its redirects.

    Args:
        url: The hub's URL.
        key: The bearer token; a redirect brings its own or, within the same origin, keeps this one.
        key_source: Where the key came from, for the message of a refusal.
        timeout: Seconds for each request, connecting included.

    Raises:
        AttemptFailed: With the reason, and whether another attempt is worth it.
    """
    jar = aiohttp.CookieJar(unsafe=True)  # "unsafe" takes cookies from IP addresses too
    async with aiohttp.ClientSession(
        cookie_jar=jar, timeout=aiohttp.ClientTimeout(total=timeout), trust_env=not is_loopback(url)
    ) as session:
        token = key
        for _ in range(MAX_REDIRECTS + 1):
            answer, date = await _ask(session, url, token, key_source)
            if "url" not in answer:
                now = _seconds(date)
                ahead = None if now is None else now - time.time()
                return Negotiated(_connection_url(url, answer), _headers(jar, url, token), ahead)
            target = answer["url"]
            if not isinstance(target, str) or urlsplit(target).scheme not in ("http", "https"):
                raise not_a_hub(url, "it redirects to something that is not a web address")
            own_token = answer.get("accessToken")
            if isinstance(own_token, str) and own_token:
                token = Secret(own_token)
            elif _origin(target) != _origin(url):
                raise key_would_leave(url, "redirects to another host without a token for it")
            if urlsplit(url).scheme == "https" and urlsplit(target).scheme == "http":
                raise key_would_leave(url, "redirects from https to plain http")
            url = target
    raise not_a_hub(url, f"it redirected more than {MAX_REDIRECTS} times")


async def _ask(
    session: aiohttp.ClientSession, url: str, token: Secret, key_source: str
) -> tuple[dict[str, Any], str | None]:
    """One negotiation's answer, and its ``Date``."""
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, "negotiateVersion=1")))
    address = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/negotiate", query=query))
    try:
        async with session.post(
            URL(address, encoded=True),
            headers={"Authorization": Secret(f"Bearer {token}")},
            allow_redirects=False,
        ) as response:
            body = b""
            async for chunk in response.content.iter_any():
                if len(body := body + chunk) > _MAX_ANSWER:
                    break
            status, kind, headers = response.status, response.content_type, response.headers
    except TimeoutError:
        raise unreachable(url, f"nothing came back in {session.timeout.total:g} s") from None
    except (aiohttp.ClientError, OSError) as error:
        raise _translated(error, url) from error
    except ValueError:  # not chained: what could not be read may hold a password
        why = "the variable HTTPS_PROXY or HTTP_PROXY cannot be read; write http://host:port"
        raise unreachable(url, why, Finality.AT_FIRST) from None
    text = body.decode("utf-8", "replace")
    said = _quoted(text.replace(token, "[secure]"))  # a server may echo what it was sent
    if status != 200:
        wait = _retry_after(headers.get("Retry-After"), headers.get("Date"))
        raise refused_by_status(status, url, key_source, said, wait)
    try:
        answer = _json.decode(text)
    except ValueError:
        raise not_a_hub(url, f"it answered {kind} {said}") from None
    if not isinstance(answer, dict) or not answer.keys() & {"error", "url", "connectionId"}:
        raise not_a_hub(url, f"it answered {said}")
    if answer.get("error"):
        raise not_a_hub(url, f"it answered with an error, {said}")
    return answer, headers.get("Date")


def _connection_url(url: str, answer: dict[str, Any]) -> str:
    transports = answer.get("availableTransports")
    names = (
        [t.get("transport") for t in transports if isinstance(t, dict)]
        if isinstance(transports, list)
        else []
    )
    if "WebSockets" not in names:
        raise not_a_hub(url, f"it offers no WebSockets, only {', '.join(map(str, names)) or 'nothing'}")
    identity = answer.get("connectionToken") or answer.get("connectionId")
    if not isinstance(identity, str):
        raise not_a_hub(url, "its answer names no connection")
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, urlencode({"id": identity}))))
    return urlunsplit(parts._replace(query=query))


def _headers(jar: aiohttp.CookieJar, url: str, token: Secret) -> dict[str, str]:
    """The upgrade's headers: the token, and the cookies by which a load balancer finds the same server."""
    headers: dict[str, str] = {"Authorization": Secret(f"Bearer {token}")}
    if cookies := [f"{c.key}={c.coded_value}" for c in jar.filter_cookies(URL(url)).values()]:
        headers["Cookie"] = "; ".join(cookies)
    return headers


def _translated(error: Exception, url: str) -> AttemptFailed:
    cause = getattr(error, "os_error", error)
    certificate = getattr(error, "certificate_error", cause)
    if isinstance(certificate, ssl.SSLCertVerificationError):
        why = str(getattr(certificate, "verify_message", certificate)).rstrip(".")
        return unreachable(url, f"its TLS certificate is not trusted ({why})", Finality.AT_FIRST)
    if isinstance(error, aiohttp.ClientConnectorDNSError) or isinstance(cause, socket.gaierror):
        return unreachable(
            url, "the host name is unknown; check it, and that this machine is online", Finality.AT_FIRST
        )
    if isinstance(cause, ConnectionRefusedError):
        return unreachable(url, "the connection was refused; nothing listens there")
    return unreachable(url, _quoted(str(error) or type(error).__name__))


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _retry_after(text: str | None, date: str | None) -> float | None:
    """``Retry-After``, seconds or a time by the server's own clock, as seconds from now."""
    if text and text.isascii() and text.isdigit():
        return float(text)
    then, now = _seconds(text), _seconds(date)
    return None if then is None else max(0.0, then - (time.time() if now is None else now))


def _seconds(date: str | None) -> float | None:
    """An HTTP date in seconds since 1970; None for anything else."""
    try:
        moment = parsedate_to_datetime(date or "")
        moment = moment.replace(tzinfo=moment.tzinfo or UTC)  # "-0000": the local clock's would be a guess
        return moment.timestamp()
    except (ArithmeticError, LookupError, TypeError, ValueError):  # whatever its parts overflow or lack
        return None


def _quoted(text: str) -> str:
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= 120 else f"{flat[:117]}…") if flat else ""
