"""What is said of a table's columns: what each was read as, and which of the others look like one of ours."""

from __future__ import annotations

import difflib
import re
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

COLUMNS = ("amount_btc", "amount_sat", "memo", "expiry_hours", "client_id")

# names without accents, case and marks, as people and bookkeeping programs write them
_LIKE = {
    "client_id": r"client ?(ids?|ref\w*|key|uuid)|idempotency ?key",
    "expiry_hours": (
        r"expir\w*|valid ?(until|till?|to|thru|through|for|days|hours)|validity|due( ?date)?|deadline|ttl|"
        r"gultig\w*|ablauf\w*|frist|fallig\w*|validite|valable|echeance|valido|validita|scadenza|validez|"
        r"vencimiento|caduc\w*|validade|vencimento|geldig\w*|verval\w*"
    ),
    "memo": (
        r"memo\w*|ref|references?|notes?|desc|descriptions?|comments?|text|subject|purpose|message|"
        r"referenz|notiz|beschreibung|kommentar|bemerkung|betreff|verwendungszweck|zweck|motif|libelle|"
        r"causale|descrizione|riferimento|nota|concepto|descripcion|referencia|descricao|omschrijving|kenmerk"
    ),
    "amount_sat": r"sats?|satoshis?|amountsats?",
    "amount_btc": r"btc|xbt|bitcoins?|amountbtc",
    "amount_btc or amount_sat": r"(?<!.)(amount|betrag|montant|importo?|importe|bedrag|valor)(?!.)",
}
_OTHERS = re.compile(r"\b(address|adresse|rate|kurs|price|preis|wallet|tx\w*)\b")  # of bitcoin, and no amount
_MEANT = {
    "expiry_hours": "name it expiry_hours, with whole hours in it",
    "client_id": "name it client_id (rows that were sent before without it would get second invoices)",
}


def listed(names: Iterable[Any]) -> str:
    """The names of columns, as a message shows them."""
    return ", ".join(map(repr, names)) or "none"


def squashed(name: str) -> str:
    """A column's name without what people write differently: case, white space, ``_``, ``-`` and ``.``."""
    return re.sub(r"[\s_.\-]+", "", name).casefold()


def repeats(name: Any, other: Any) -> bool:
    """Whether a name is what pandas makes of the second of two equal ones: ``Memo.1`` beside ``Memo``."""
    if not isinstance(name, str) or not isinstance(other, str):
        return False
    match = re.fullmatch(r"(.+)\.[0-9]+", name, re.DOTALL)
    return match is not None and squashed(match[1]) == squashed(other)


def field_like(name: Any) -> str | None:
    """The field that a column which is not read looks like: ``expiry_hours`` for ``Valid until``."""
    if not isinstance(name, str):
        return None
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    plain = unicodedata.normalize("NFKD", apart).encode("ascii", "ignore").decode().lower()
    words = " ".join(re.findall("[a-z]+", plain))
    if not _OTHERS.search(words):
        for field, like in _LIKE.items():
            if re.search(rf"\b({like})\b", words):
                return field
    known = {squashed(field): field for field in COLUMNS}
    close = difflib.get_close_matches(squashed(name), known, 1, 0.85)
    return known[close[0]] if close else None


def read_and_carried(read: Mapping[str, Any], others: Sequence[Any], key: Any) -> str:
    """Which columns were read as what, and which are carried along, in two lines.

    Args:
        read: The names of the columns that were read, by field.
        others: The names of all others.
        key: That of the column of keys; None for none.
    """
    parts = [field if field == name else f"{field} from {name!r}" for field, name in read.items()]
    parts += [] if key is None else [f"the keys from {key!r}"]
    return f"read: {', '.join(parts)}\ncarried along: {listed(others)}"


def like_fields(read: Mapping[str, Any], others: Sequence[Any], key: Any) -> tuple[list[str], list[str]]:
    """What to do about columns that look like a field and are not read, a line each.

    Args:
        read: The names of the columns that were read, by field.
        others: The names of all others.
        key: That of the column of keys, which has its use; None for none.

    Returns:
        The lines about fields that the table lacks otherwise, and about those that it has.
    """
    lacking, beside = [], []
    for name in others:
        if name == key or (field := field_like(name)) is None:
            continue
        has = [one for one in field.split(" or ") if one in read]
        if has:
            beside.append(f"{name!r} looks like {field} too, and is not read: {has[0]} is {read[has[0]]!r}")
        else:
            instead = _MEANT.get(field, f"name it {field}")
            lacking.append(f"{name!r} looks like {field}, and is not read; if it is meant, {instead}")
    return lacking, beside
