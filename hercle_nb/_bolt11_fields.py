"""The tagged fields of a payment request (BOLT 11, "Tagged Fields"), as groups of 5 bits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hercle_nb import _bech32
from hercle_nb.errors import PaymentRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

_TYPES = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"  # a type is a value from 0 to 31, named by its bech32 character
_LENGTHS = {"p": 52, "s": 52, "h": 52, "n": 53}
_SINGLE = frozenset("psdmnhxc9")
_NO_LEADING_ZEROS = frozenset("xc9")
_HOP = 51  # bytes
_P2PKH, _P2SH, _LAST_WITNESS = 17, 18, 16
_NEW = "Ask the payee for a new one."


@dataclass(frozen=True, slots=True)
class RouteHop:
    """One channel of a route hint.

    Attributes:
        public_key: The node at its beginning, 33 bytes as hexadecimal digits.
        short_channel_id: Block, transaction and output, such as ``539268x845x1``.
        base_fee: In millisatoshis.
        ppm_fee: In millionths of the amount.
        cltv_expiry_delta: In blocks.
    """

    public_key: str
    short_channel_id: str
    base_fee: int
    ppm_fee: int
    cltv_expiry_delta: int


@dataclass(slots=True)
class Fields:
    """What the fields of one payment request say, read by `read`."""

    values: dict[str, bytes] = field(default_factory=dict)
    fallbacks: list[tuple[int, str]] = field(default_factory=list)
    route_hints: list[tuple[RouteHop, ...]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    ignored: list[tuple[str, int]] = field(default_factory=list)

    def octets(self, kind: str) -> bytes | None:
        """Return a field as bytes, or None."""
        groups = self.values.get(kind)
        return None if groups is None else _bech32.to_octets(groups)

    def number(self, kind: str) -> int | None:
        """Return a field as a number, or None."""
        groups = self.values.get(kind)
        return None if groups is None else _bech32.to_number(groups)

    def description(self) -> str | None:
        """Return the description, or None where its hash stands instead.

        Raises:
            PaymentRequestError: ``description``: there is neither or both, or it is no UTF-8.
        """
        octets = self.octets("d")
        if (octets is None) == ("h" not in self.values):
            which = "neither a description nor the" if octets is None else "both a description and the"
            raise _refusal("description", f"it has {which} hash of one")
        try:
            return None if octets is None else octets.decode()
        except UnicodeDecodeError as error:
            raise _refusal("description", "its description is not UTF-8") from error

    def feature_bits(self) -> tuple[int, ...]:
        """Return the numbers of the feature bits that are set, in ascending order."""
        digits = f"{self.number('9') or 0:b}"
        return tuple(bit for bit, digit in enumerate(reversed(digits)) if digit == "1")

    def take(self, kind: str, groups: bytes) -> str | None:
        """Take one field in, or return why it is skipped."""
        if kind == "f":
            return self._take_fallback(groups)
        if kind == "r":
            return self._take_route_hint(groups)
        if kind not in _SINGLE:
            return "BOLT 11 has no such field"
        if (expected := _LENGTHS.get(kind, len(groups))) != len(groups):
            return f"it is {len(groups)} groups of 5 bits long instead of {expected}"
        if kind in self.values:
            return "it stands there already; the first one counts"
        if kind in _NO_LEADING_ZEROS and groups[:1] == b"\x00":
            raise _refusal("non_minimal", f"its field {kind} begins with zeros, which is not allowed")
        self.values[kind] = groups
        return None

    def _take_fallback(self, groups: bytes) -> str | None:
        if not groups or (version := groups[0]) > _P2SH:
            return "this version of an on-chain address is unknown"
        octets = _bech32.to_octets(groups[1:])
        lengths: range | tuple[int, ...] = (20,)
        if version <= _LAST_WITNESS:
            lengths = range(2, 41) if version else (20, 32)
        if len(octets) not in lengths:
            return f"an on-chain address of version {version} has no {len(octets)} bytes"
        self.fallbacks.append((version, octets.hex()))
        return None

    def _take_route_hint(self, groups: bytes) -> str | None:
        octets = _bech32.to_octets(groups)
        if not octets or len(octets) % _HOP:
            return f"{len(octets)} bytes are no whole number of hops"
        hops = (octets[start : start + _HOP] for start in range(0, len(octets), _HOP))
        self.route_hints.append(tuple(_read_hop(hop) for hop in hops))
        return None


def read(groups: bytes) -> Fields:
    """Read all fields between the timestamp and the signature.

    Raises:
        PaymentRequestError: ``truncated_tag`` or ``non_minimal``.
    """
    fields = Fields()
    for kind, value in _split(groups):
        if reason := fields.take(kind, value):
            fields.ignored.append((kind, len(value)))
            fields.warnings.append(f"A field {kind} was skipped: {reason}.")
    return fields


def write(kind: str, groups: bytes) -> bytes:
    """Write one field: its type, its length and its groups."""
    return bytes((_TYPES.index(kind), len(groups) >> 5, len(groups) & 31)) + groups


def _split(groups: bytes) -> Iterator[tuple[str, bytes]]:
    start = 0
    while start < len(groups):
        header = groups[start : start + 3]
        if len(header) < 3 or (end := start + 3 + (header[1] << 5 | header[2])) > len(groups):
            raise _refusal("truncated_tag", f"its field {_TYPES[header[0]]} runs into the signature")
        yield _TYPES[header[0]], groups[start + 3 : end]
        start = end


def _read_hop(hop: bytes) -> RouteHop:
    key, channel, base_fee, ppm_fee, delta = hop[:33], hop[33:41], hop[41:45], hop[45:49], hop[49:]
    block, transaction, output = channel[:3], channel[3:6], channel[6:]
    return RouteHop(
        public_key=key.hex(),
        short_channel_id="x".join(str(int.from_bytes(part)) for part in (block, transaction, output)),
        base_fee=int.from_bytes(base_fee),
        ppm_fee=int.from_bytes(ppm_fee),
        cltv_expiry_delta=int.from_bytes(delta),
    )


def _refusal(code: str, reason: str) -> PaymentRequestError:
    return PaymentRequestError(f"This is no valid payment request: {reason}. {_NEW}", code=code)
