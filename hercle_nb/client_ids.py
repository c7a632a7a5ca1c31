"""ClientIds made from what identifies an order to you, the same whatever type or spelling a table gives it.

Version 0.1 made them from the bare texts of the parts, so that 17.0 and 17 were two orders. Where its id for
the same parts was another one, that one is carried along and looked up first: an upgrade makes no second
invoice.
"""

from __future__ import annotations

import json
import math
import re
import threading
import unicodedata
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hercle_nb import amounts
from hercle_nb.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMESPACE = uuid.UUID("6f0e4c1e-6f58-5f0b-9f0c-0d6f7c1f5a11")  # ours; it keeps client_id() apart from others
_EXACT_FLOAT = 2**53  # beyond it, not every whole number is a float
_WHOLE_FLOAT = re.compile(r"(0|-?[1-9][0-9]*)\.0")  # how a float of a whole number is written
_MIDNIGHT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]00:00(?::00(?:\.0+)?)?")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
# marks that nobody sees; the joiners U+200C and U+200D stay, since they tell Persian words apart
_UNSEEN = dict.fromkeys(
    [0xAD, 0x61C, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A), 0xFEFF]
)

_carried: dict[
    str, tuple[str, ...]
] = {}  # the ids of 0.1 by today's, where they differ; the latest made first
_lock = threading.Lock()


class _CarryingId(str):
    """A ClientId that takes what 0.1 made of its parts along into other processes."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return carrying, (str(self), spellings(self)[:-1])


def client_id(*parts: object) -> str:
    """A ClientId that is the same for the same parts: for cells that are run again.

    Whole numbers count as such whatever their type, ``17.0`` and ``"17.0"`` too; texts without marks that
    nobody sees, their white space as single blanks; a time at midnight without a zone as its date.

    Args:
        parts: What identifies the invoice to you, such as an order number and a month.

    Raises:
        InvalidRequest: No parts, one that is missing or blank, which two orders could share, or one that is
            not the same in each kernel.

    Example:
        >>> client_id("order", 17) == client_id("order", 17.0)
        True
    """
    if not parts:
        raise InvalidRequest(
            'client_id() needs something to make the id from, such as client_id("order", 17).'
        )
    texts = []
    for number, part in enumerate(parts, 1):
        try:
            texts.append(part_text(part))
        except InvalidRequest as error:
            older = _uuid([str(part) for part in parts])
            raise InvalidRequest(
                f"Part {number} of client_id() {error} If version 0.1 made an invoice of these parts, "
                f"hub.invoice({older!r}) shows it, and another id makes a second one."
            ) from None
    return made(texts, [str(part) for part in parts])


def made(texts: list[str], before: list[str]) -> str:
    """The ClientId of parts as `part_text` gives them, which carries what 0.1 made of the same parts.

    Args:
        texts: The parts.
        before: What 0.1 took for them.
    """
    made_now = _uuid(texts)
    return made_now if before == texts else carrying(made_now, [_uuid(before)])


def carrying(client_id: str, before: Iterable[str]) -> str:
    """A ClientId for which these ids of 0.1 are looked up first, in this process from now on."""
    with _lock:
        others = _carried.get(client_id, ())
        _carried[client_id] = tuple(dict.fromkeys([*before, *others]))
    return _CarryingId(client_id)


def spellings(client_id: str) -> tuple[str, ...]:
    """The ids that an invoice may be known by, in the order to look them up: those of 0.1, then this."""
    return (*_carried.get(client_id, ()), str(client_id))


def part_text(part: Any) -> str:
    """A part of an id, or a key of a batch, as the text that counts; see `client_id`.

    A time with a zone keeps it: the same midnight elsewhere is another time. Of a list or tuple, what it
    holds counts.

    Raises:
        InvalidRequest: It is missing, blank, too large a float, or not the same in each kernel.
    """
    part = _plain(part)
    if _is_missing(part):
        raise InvalidRequest(
            "is missing, and orders without a number would share one id; give each one of its own."
        )
    text = cleaned(part if isinstance(part, str) else _text(part))
    if not text:
        raise InvalidRequest("is blank, and orders without a number would share one id; write one.")
    whole, midnight = _WHOLE_FLOAT.fullmatch(text), _MIDNIGHT.fullmatch(text)
    return whole[1] if whole else midnight[1] if midnight else text


def _text(part: Any) -> str:
    """What is no text as one that is the same in every kernel."""
    if isinstance(part, list | tuple):
        return json.dumps([part_text(inner) for inner in part])
    if isinstance(part, float) and abs(part) > _EXACT_FLOAT:
        raise InvalidRequest(
            f"is the float {amounts.shown(part)}, and floats of this size are not exact; read it as text "
            "(dtype=str)."
        )
    number = None if isinstance(part, bool) else amounts.whole(part)
    text = str(part if number is None else number)
    if isinstance(part, set | frozenset) or hasattr(part, "shape") or _ADDRESS.search(text):
        raise InvalidRequest(
            f"is {type(part).__name__}, whose text may differ in the next kernel; give a text or a number."
        )
    return text


def cleaned(text: str) -> str:
    """A text in NFC without what nobody sees, runs of white space as one blank; empty if nothing is left."""
    return " ".join(unicodedata.normalize("NFC", text.translate(_UNSEEN)).split())


def _plain(part: Any) -> Any:
    """Python's own value for a numpy scalar, a text for a time that Python cannot hold; else as it is."""
    if type(part).__module__ != "numpy" or not hasattr(part, "item") or part.ndim:
        return part
    if part.dtype.kind == "f":  # a longdouble's own item() is a longdouble
        return float(part)
    if part.dtype.kind in "mM":  # the item() of nanoseconds is an int
        exact = part.astype("datetime64[us]") if part.dtype.kind == "M" else None
        missing = str(part) == "NaT"
        return None if missing else exact.item() if exact is not None and exact == part else str(part)
    return part.item()


def _is_missing(part: Any) -> bool:
    """Whether it is None, NaN, or pandas' NA or NaT, which is not imported for this."""
    if isinstance(part, float):
        return math.isnan(part)
    if isinstance(part, Decimal):
        return not part.is_finite()
    return part is None or type(part).__name__ in ("NAType", "NaTType")


def _uuid(texts: list[str]) -> str:
    return str(uuid.uuid5(_NAMESPACE, json.dumps(texts)))
