"""The HTTP request before the WebSocket: where to connect, under which id, with which token.

Ours instead of pysignalr's, which sends no key on the first connection and loses what a refusal says
(measured on 1.3.3).
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from hercle_nb import _json
from hercle_nb._signalr.failures import AttemptFailed, not_a_hub, refused_by_status, unreachable
from hercle_nb.config import Secret, is_loopback

MAX_REDIRECTS = 10
_MAX_ANSWER = 65_536  # bytes; an honest answer has less than one thousand


@dataclass(frozen=True)
class Negotiated:
    """Where the WebSocket goes and what it carries."""

    url: str  # http(s), with the connection's id
    headers: dict[str, str]


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
            answer = await _ask(session, url, token, key_source)
            if "url" not in answer:
                return Negotiated(_connection_url(url, answer), _headers(jar, url, token))
            target = answer["url"]
            if not isinstance(target, str) or urlsplit(target).scheme not in ("http", "https"):
                raise not_a_hub(url, "it redirects to something that is not a web address")
            own_token = answer.get("accessToken")
            if isinstance(own_token, str) and own_token:
                token = Secret(own_token)
            elif _origin(target) != _origin(url):
                raise not_a_hub(
                    url, "it redirects to another host without a token for it; the key stays here"
                )
            if urlsplit(url).scheme == "https" and urlsplit(target).scheme == "http":
                raise not_a_hub(url, "it redirects from https to plain http")
            url = target
    raise not_a_hub(url, f"it redirected more than {MAX_REDIRECTS} times")


async def _ask(session: aiohttp.ClientSession, url: str, token: Secret, key_source: str) -> dict[str, Any]:
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
            status, kind, retry = response.status, response.content_type, response.headers.get("Retry-After")
    except TimeoutError:
        raise unreachable(url, f"nothing came back in {session.timeout.total:g} s") from None
    except (aiohttp.ClientError, OSError) as error:
        raise _translated(error, url) from error
    text = body.decode("utf-8", "replace")
    said = _quoted(text.replace(token, "[secure]"))  # a server may echo what it was sent
    if status != 200:
        raise refused_by_status(status, url, key_source, said, _seconds(retry))
    try:
        answer = _json.decode(text)
    except ValueError:
        raise not_a_hub(url, f"it answered {kind} {said}") from None
    if not isinstance(answer, dict) or not answer.keys() & {"error", "url", "connectionId"}:
        raise not_a_hub(url, f"it answered {said}")
    if answer.get("error"):
        raise not_a_hub(url, f"it answered with an error, {said}")
    return answer


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
    if isinstance(error, aiohttp.ClientConnectorCertificateError) or isinstance(
        cause, ssl.SSLCertVerificationError
    ):
        return unreachable(url, f"its TLS certificate is not trusted ({_quoted(str(error))})", final=True)
    if isinstance(error, aiohttp.ClientConnectorDNSError) or isinstance(cause, socket.gaierror):
        return unreachable(
            url, "the host name is unknown; check it, and that this machine is online", final=True
        )
    if isinstance(cause, ConnectionRefusedError):
        return unreachable(url, "the connection was refused; nothing listens there")
    return unreachable(url, _quoted(str(error) or type(error).__name__))


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _seconds(retry_after: str | None) -> float | None:
    """``Retry-After``, seconds or a date, as seconds from now."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(int(retry_after)))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None


def _quoted(text: str) -> str:
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= 120 else f"{flat[:117]}…") if flat else ""
