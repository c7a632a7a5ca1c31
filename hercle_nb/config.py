"""Which hub, with which key: what the arguments and the environment's variables add up to."""

from __future__ import annotations

import getpass
import ipaddress
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from hercle_nb import amounts
from hercle_nb._pickling import StaysHere
from hercle_nb.bolt11 import CURRENCIES
from hercle_nb.cross_check import BITCOIN
from hercle_nb.errors import ConfigurationError, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# https://documentation.hercle.financial: the command pages' code examples
HUB_URLS = {
    "sandbox": "https://publicapi.sandbox.hercle.financial/ExecutionLiveServer/v1",
    "production": "https://publicapi.hercle.financial/ExecutionLiveServer/v1",
}
ENVIRONMENTS = ("simulator", *HUB_URLS)

_PRODUCTION_HOST = urlsplit(HUB_URLS["production"]).hostname
SECRET_WORDS = ("token", "key", "secret", "password", "pwd", "auth")
_KEYS = "set the variable HERCLE_API_KEY where the worker runs"


class Secret(StaysHere, str):
    """A text that shows as ``[secure]`` wherever a repr is made of it: tracebacks, dicts, debuggers."""

    __slots__ = ()

    _instead = _KEYS

    def __repr__(self) -> str:
        return "[secure]"


def hidden(journal: Any) -> Any:
    """An argument ``journal`` such that no traceback that shows locals shows the password in it."""
    return Secret(journal) if isinstance(journal, str) else journal


class ApiKey(StaysHere):
    """An API key, or the callable that gives one, and the place it came from."""

    _instead = _KEYS

    def __init__(self, key: str | Callable[[], str], source: str) -> None:
        self._key = key if callable(key) else Secret(_checked(key, source))
        self.source = source

    def __repr__(self) -> str:
        return f"ApiKey([secure], from {self.source})"

    @classmethod
    def wrapped(cls, given: Any) -> Any:
        """An argument ``api_key`` such that no traceback that shows locals shows the key.

        None, ``"ask"`` and an `ApiKey` stay as they are.
        """
        if given is None or given == "ask" or isinstance(given, cls):
            return given
        return cls(given, "the callable given as api_key" if callable(given) else "the argument api_key")

    @property
    def may_block(self) -> bool:
        """Whether asking runs the user's own code."""
        return not isinstance(self._key, str)

    def ask(self) -> Secret:
        """The key as of now; a callable is asked each time.

        Raises:
            ConfigurationError: The callable failed, or what it gave cannot be a key.
        """
        if isinstance(self._key, Secret):
            return self._key
        try:
            key = self._key()
        except Exception as error:  # whatever the user's own code raises
            raise ConfigurationError(
                f"{self.source} raised {type(error).__name__}; it must return the API key."
            ) from error
        return Secret(_checked(key, self.source))


@dataclass(frozen=True)
class Settings:
    """What `resolve` found. ``url`` and ``key`` are None for the embedded simulator.

    Attributes:
        by_itself: The simulator was chosen since nobody named an environment.
    """

    environment: str
    url: str | None
    key: ApiKey | None
    by_itself: bool = False


def resolve(
    environment: str | None,
    api_key: str | Callable[[], str] | ApiKey | None,
    url: str | None,
    *,
    allow_insecure: bool = False,
    variables: Mapping[str, str] | None = None,
) -> Settings:
    """Work out the environment, the hub's URL and the key.

    Raises:
        ConfigurationError: Something is missing, unknown or contradicts another; says what to write.
    """
    variables = os.environ if variables is None else variables
    named = environment is not None or bool(variables.get("HERCLE_ENV", "").strip())
    environment = _environment(
        environment, has_key=bool(api_key), has_url=url is not None, variables=variables
    )
    if environment == "simulator":
        if url is not None:
            raise ConfigurationError(
                "The simulator runs inside this process and takes no url; leave out the environment to "
                "connect to a hub at that URL."
            )
        return Settings("simulator", None, None, by_itself=not named)
    address = HUB_URLS[environment] if url is None else url
    _check_url(address, environment, allow_insecure=allow_insecure)
    return Settings(environment, address.rstrip("/"), _find_key(api_key, environment, variables))


def resolve_environment(environment: str | None, *, has_url: bool) -> str:
    """The environment that `resolve` would take without a key of its own.

    Raises:
        ConfigurationError: There is no such environment.
    """
    return _environment(environment, has_key=False, has_url=has_url, variables=os.environ)


def check_max_btc(limit: Any) -> int:
    """The most millisatoshis that one invoice may ask of a hub; for None all there will ever be.

    Raises:
        ConfigurationError: Not an amount of BTC.
    """
    if limit is None:
        return amounts.MAX_MSAT
    try:
        return amounts.btc_to_msat(limit, allow_msat=True)
    except InvalidRequest:
        raise ConfigurationError(
            "max_btc must be an amount in BTC, more than 0 and at most 21_000_000, or None for no limit, not "
            f'{amounts.shown(limit)}; write max_btc=1 or max_btc="0.05".'
        ) from None


def expected_network(network: Any, environment: str) -> str:
    """The network that payment requests must name; empty for any but Bitcoin itself.

    Raises:
        ConfigurationError: There is no such network.
    """
    if network is None:
        return BITCOIN if environment == "production" else ""
    if not isinstance(network, str) or network not in CURRENCIES:
        raise ConfigurationError(
            f"network must be one of {', '.join(CURRENCIES)}, or None (bc on production, any but bc "
            f"elsewhere), not {amounts.shown(network)}."
        )
    return network


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _environment(given: str | None, *, has_key: bool, has_url: bool, variables: Mapping[str, str]) -> str:
    source = "environment"
    if given is None:
        source = "the variable HERCLE_ENV"
        given = variables.get("HERCLE_ENV", "").strip() or None
        if has_url and given == "simulator":  # an argument outranks a variable
            given = None
    if given is None:
        return "sandbox" if has_url or has_key or variables.get("HERCLE_API_KEY", "").strip() else "simulator"
    if given not in ENVIRONMENTS:
        raise ConfigurationError(f"{source} must be one of {', '.join(ENVIRONMENTS)}, not {given!r}.")
    return given


def _check_url(url: str, environment: str, *, allow_insecure: bool) -> None:
    if not isinstance(url, str):
        raise ConfigurationError(
            f"The url must be a text, not {type(url).__name__}; write https://host/path."
        )
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError("The url cannot be read; write https://host/path.") from error
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            "The url holds a user or password; give the key as api_key or HERCLE_API_KEY."
        )
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if any(word in name.lower() for word in SECRET_WORDS):
            raise ConfigurationError(
                f"The url holds a parameter {name!r}; give the key as api_key or HERCLE_API_KEY."
            )
    if parts.scheme not in ("http", "https") or not host or parts.fragment or any(c.isspace() for c in url):
        raise ConfigurationError(
            "The url must have the form https://host/path, without spaces or a #fragment."
        )
    if not host.isascii():  # an international host can spell another one, the production hub's too
        raise ConfigurationError("The url's host must be ASCII; write an international name as xn--….")
    if not all(0 < len(label) < 64 for label in host.rstrip(".").split(".")):
        raise ConfigurationError(
            f"The url's host {host[:80]} cannot be one: a part of it is empty or too long."
        )
    if parts.scheme == "http" and not allow_insecure and not is_loopback(url):
        raise ConfigurationError(
            f"Plain http would show the key to everybody on the way to {host}; write https://, "
            "or allow_insecure=True for a network you trust."
        )
    if host.rstrip(".") == _PRODUCTION_HOST and environment != "production":
        raise ConfigurationError(
            f'{host} is the production hub, where invoices are real; write environment="production" too.'
        )


def _find_key(
    given: str | Callable[[], str] | ApiKey | None, environment: str, variables: Mapping[str, str]
) -> ApiKey:
    if given == "ask":
        return ApiKey(_prompt(environment), "the prompt")
    if given is not None:
        wrapped: ApiKey = ApiKey.wrapped(given)
        return wrapped
    if key := variables.get("HERCLE_API_KEY", "").strip():
        return ApiKey(key, "the variable HERCLE_API_KEY")
    raise ConfigurationError(
        f'No API key for {environment}: set the variable HERCLE_API_KEY, or write api_key="ask" to be asked. '
        "Without a key, hercle.connect() starts the simulator."
    )


def _checked(key: Any, source: str) -> str:
    if not isinstance(key, str):
        raise ConfigurationError(f"{source} gave {type(key).__name__} instead of a text.")
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError(
            f"The API key from {source} is empty or holds spaces, line ends or odd characters; copy it again."
        )
    return key


def _prompt(environment: str) -> str:
    in_kernel = "ipykernel" in sys.modules  # its getpass asks the browser, whatever sys.stdin says
    if not in_kernel and (sys.stdin is None or not sys.stdin.isatty()):
        raise ConfigurationError(
            'api_key="ask" needs somebody to ask, and there is no terminal; set the variable HERCLE_API_KEY.'
        )
    try:
        return getpass.getpass(f"Hercle API key ({environment}): ")
    except (EOFError, OSError, RuntimeError) as error:  # StdinNotImplementedError is a RuntimeError
        raise ConfigurationError(
            'api_key="ask" found no standard input to read from; set the variable HERCLE_API_KEY.'
        ) from error
