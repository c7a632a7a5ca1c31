"""The text of a payment request in named parts, which joined are the text again (BOLT 11)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hercle_nb._bolt11_fields import _TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIMESTAMP, _SIGNATURE, _CHECKSUM = 7, 104, 6  # characters
_FIELDS = {
    "p": "payment hash",
    "s": "payment secret",
    "d": "description",
    "h": "description hash",
    "x": "expiry",
    "c": "final CLTV",
    "n": "payee key",
    "f": "fallback",
    "r": "route hint",
    "m": "metadata",
    "9": "features",
}


@dataclass(frozen=True, slots=True)
class Part:
    """Some characters of a payment request, and what they say."""

    name: str
    text: str


def split(text: str) -> tuple[Part, ...]:
    """Split a payment request, in lower case, into its parts; any other text into some parts or other."""
    prefix, separator, data = text.rpartition("1")
    network = re.split("[0-9]", prefix, maxsplit=1)[0]
    end = max(0, len(data) - _SIGNATURE - _CHECKSUM)
    body, tail = data[:end], data[end:]
    parts = (
        Part("prefix", network),
        Part("amount", prefix[len(network) :]),
        Part("separator", separator),
        Part("timestamp", body[:_TIMESTAMP]),
        *_fields(body[_TIMESTAMP:]),
        Part("signature", tail[:-_CHECKSUM]),
        Part("checksum", tail[-_CHECKSUM:]),
    )
    return tuple(part for part in parts if part.text)


def _fields(text: str) -> Iterator[Part]:
    """Each field with its type and length, its first three characters."""
    while text:
        high, low = (_TYPES.find(letter) for letter in text[1:3].ljust(2))
        end = 3 + max(0, high << 5 | low)
        yield Part(f"{_FIELDS.get(text[0], 'unknown field')} ({text[0]})", text[:end])
        text = text[end:]
