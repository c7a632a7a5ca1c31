"""``hercle-nb doctor``: what is installed and set, how far a connection comes, and what to do about it."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import shutil
import socket
import ssl
import sys
import textwrap
import time
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import click
from packaging.requirements import Requirement
from packaging.version import Version

from hercle_nb import __version__
from hercle_nb._signalr.failures import AttemptFailed
from hercle_nb._signalr.negotiate import negotiate
from hercle_nb.cli.record import settings
from hercle_nb.config import is_loopback, resolve, resolve_environment
from hercle_nb.errors import CommandRejected, ConfigurationError, HercleError, JournalError
from hercle_nb.hub import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hercle_nb.config import ApiKey, Settings

_TIMEOUT = 10.0  # seconds for each step
_SKEW = 30.0  # seconds; HTTP tells the hub's time in whole ones, and a network takes some
_EXPIRES_SOON = 14  # days
_EXTRAS = {
    "lab": "for JupyterLab, Voilà, the live faces and the notebooks",
    "parquet": "for log.to_parquet() and record",
    "excel": "to export invoices to Excel",
    "postgres": "for a journal in PostgreSQL",
}
_COLOURS = {"ok": "green", "note": "yellow", "BAD": "red"}


class Finding(NamedTuple):
    """What one look found.

    Attributes:
        mark: ``ok``; ``note``, which may be meant; or ``BAD``, which has to be mended.
        text: What is so.
        advice: What to do about it.
    """

    mark: str
    text: str
    advice: str = ""


def examine(environment: str | None, url: str | None) -> bool:
    """Print every finding as it is found; whether nothing is broken."""
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    click.echo(f"hercle_nb {__version__}, {system}\n{sys.executable}")
    parts = {
        "Packages": packages(),
        "Jupyter": jupyter(),
        "Settings and connection": hub(environment, url),
    }
    broken = False
    for title, findings in parts.items():
        click.echo(f"\n{title}")
        for finding in findings:
            _show(finding)
            broken |= finding.mark == "BAD"
    verdict = "Something is broken: what is marked BAD says what to do." if broken else "Nothing is broken."
    click.echo(f"\n{verdict}")
    return not broken


def _show(finding: Finding) -> None:
    mark = click.style(f"{finding.mark:<4}", fg=_COLOURS[finding.mark])
    click.echo(f"{mark}  {_wrapped(finding.text).lstrip()}")
    if finding.advice:
        click.echo(_wrapped(f"-> {finding.advice}"))


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text,
        min(shutil.get_terminal_size().columns, 100),
        initial_indent=" " * 6,
        subsequent_indent=" " * 6,
        break_long_words=False,  # names and commands stay whole, to be copied
        break_on_hyphens=False,
    )


def packages() -> Iterator[Finding]:
    """Compare what is installed with what the package's own metadata asks for."""
    declared = [Requirement(line) for line in requires("hercle_nb") or []]
    yield from _group("", [r for r in declared if r.marker is None])
    for extra in _EXTRAS:
        yield from _group(extra, [r for r in declared if r.marker and r.marker.evaluate({"extra": extra})])


def _group(extra: str, group: list[Requirement]) -> Iterator[Finding]:
    """One extra's packages, or those that are needed always."""
    have = [f"{r.name} {_version(r.name)}" for r in group if _version(r.name)]
    wrong = [
        f"{r.name} {_version(r.name)} is not {r.specifier}"
        for r in group
        if _version(r.name) and not _fits(r)
    ]
    missing = [f"{r.name}" for r in group if not _version(r.name)]
    problems = [*wrong, *([f"not installed: {', '.join(missing)}"] if missing else [])]
    if not problems:
        yield Finding("ok", f"{extra and f'[{extra}] '}{', '.join(have)}")
    elif extra:
        command = f"pip install 'hercle_nb[{extra}]'"
        yield Finding("BAD" if wrong else "note", f"{'; '.join(problems)} ({_EXTRAS[extra]})", command)
    else:
        yield Finding("BAD", "; ".join(problems), "pip install --upgrade hercle_nb")


def jupyter() -> Iterator[Finding]:
    """Look for kernels that are not this Python's, and for combinations that are known to go wrong."""
    kernel, nest2 = _version("ipykernel"), _version("nest-asyncio2")
    if not kernel:
        yield Finding("note", "no kernel in this Python: a notebook that finds hercle_nb has another one")
        return
    yield from _kernel_of_jupyter()
    if Version(kernel) < Version("6.31"):
        yield Finding(
            "BAD",
            f"ipykernel {kernel} was never tried with hercle_nb",
            "pip install --upgrade 'ipykernel>=6.31'",
        )
    elif Version(kernel) >= Version("7.1") and (not nest2 or Version(nest2) < Version("1.7.4")):
        yield Finding(
            "note",
            f"ipykernel {kernel} with nest-asyncio loses the cells that are queued behind one that uses it; "
            "hercle.run() refuses there",
            "pip install 'nest-asyncio2>=1.7.4'",
        )
    elif Version(kernel) == Version("7.0.1"):
        yield Finding(
            "note",
            "ipykernel 7.0.1 loses what other packages' threads change in widgets; ours are right",
            "pip install --upgrade ipykernel",
        )
    else:
        yield Finding(
            "ok",
            f"ipykernel {kernel} and nest-asyncio{'2 ' + nest2 if nest2 else ' ' + _version('nest-asyncio')}",
        )


def _kernel_of_jupyter() -> Iterator[Finding]:
    """Whether the kernel that Jupyter starts by default is this Python."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager
    except ImportError:
        return
    try:
        python = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except (OSError, KeyError, IndexError, ValueError) as error:  # NoSuchKernel is a KeyError
        yield Finding("note", f"Jupyter has no kernel named python3 ({type(error).__name__})")
        return
    if re.fullmatch(r"python(3(\.\d+)?)?", python):  # jupyter_client puts this Python in its place
        return
    found = shutil.which(python)
    if found is None or not os.path.samefile(found, sys.executable):
        yield Finding(
            "note",
            f"the kernel python3 of Jupyter is {python}, not this Python: hercle_nb may be missing in it",
            f"{sys.executable} -m ipykernel install --user --name hercle, and choose the kernel hercle",
        )


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
    from hercle_nb.journal.place import find_place

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
            "file with its certificate. There is no switch to trust it anyway",
        )
    except OSError as error:
        why = "nothing came back" if isinstance(error, TimeoutError) else error.strerror or error
        return Finding("BAD", f"TLS: {host} on port {port}: {why}", _BLOCKED)
    days = (ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) / 86_400
    mark = "note" if days < _EXPIRES_SOON else "ok"
    return Finding(mark, f"TLS: {used}, the certificate is good for another {days:.0f} days")


_BLOCKED = "A firewall may be in the way: ask for outgoing HTTPS and WebSockets to this host"


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
    skew = negotiated.clock_ahead
    if abs(skew) > _SKEW:
        yield Finding(
            "note",
            f"clock: this computer's is {abs(skew):,.0f} s {'behind' if skew > 0 else 'ahead of'} the hub's, "
            "so that invoices seem to expire late or early",
            "Let it set its clock by the network (timedatectl set-ntp true)",
        )
    else:
        yield Finding("ok", "clock: at one with the hub's")


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
    return urlsplit(proxy if "://" in proxy else f"//{proxy}").netloc.rpartition("@")[
        2
    ]  # without its password


def _version(package: str) -> str:
    """An installed version; empty where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _fits(requirement: Requirement) -> bool:
    found = _version(requirement.name)
    return bool(found) and requirement.specifier.contains(found, prereleases=True)


def _ms(began: float) -> str:
    return f"{(time.perf_counter() - began) * 1_000:.0f} ms"
