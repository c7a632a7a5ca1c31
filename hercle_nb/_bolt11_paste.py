"""The payment request in what people paste: in a link, a mail or quotation marks; what is none gets its name.

Nothing is guessed: what comes out is still to pass its checksum and its signature, and white space is taken
out of a text's middle only where the checksum is right without it.
"""

from __future__ import annotations

import html
import re
import unicodedata
import urllib.parse

from hercle_nb import _bech32
from hercle_nb.errors import PaymentRequestError

MAX_CHARACTERS = 7089  # what the largest QR code holds
_MAX_PASTED = (
    4 * MAX_CHARACTERS
)  # percent-encoded it is three times as long, and a link has other things in it

START = re.compile("ln(?:bcrt|bc|tbs|tb)[0-9]", re.IGNORECASE)  # with a b, which is nowhere else in one
_QUOTED_LINE = re.compile(r"^[ \t]*(?:[>|][ \t]*)+", re.MULTILINE)
_SOFT_BREAK = re.compile(r"(?<!lightning)=[ \t]*(?=\r?\n)", re.IGNORECASE)  # of a mail's source
_ENTITY = re.compile(r"&#?\w{1,9};")
_ENCODED_LINK = re.compile("(?:bitcoin|lightning)%3a", re.IGNORECASE)
_SCHEMES = re.compile(r"(?:(?:web\+)?lightning:(?://)?\s*)+", re.IGNORECASE)
_PARAMETER = re.compile("(?:^|[?&;])lightning=(?:3d)?([^&#;]*)", re.IGNORECASE)  # 3d: = in a mail's source
_OTHER_PARAMETERS = re.compile(r"[?&#](?:[\w-]+=|$).*", re.DOTALL)
_BITCOIN_LINK = re.compile("bitcoin:", re.IGNORECASE)
# decoration of other categories: letters that look like quotation marks, and what has no shape
_MARKS = frozenset("\u02b9\u02ba\u02bb\u02bc\u02bd\u02ee\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_SHAPES = range(0xFE00, 0xFE10)  # they choose how an emoji looks

_ASK = "Ask the payee for a payment request."
_WALLET = "Open it in a wallet, or ask the payee for a payment request."
_OTHER_THINGS = tuple(
    (re.compile(pattern, re.IGNORECASE), reason, what_to_do)
    for pattern, reason, what_to_do in (
        (r"₿\s*\S+@\S+$", "this is a name by which a wallet finds out how to pay (BIP 353)", _WALLET),
        ("0[23][0-9a-f]{64}(?:@|$)", "this is a node's public key, which says who but not how much", _ASK),
        (
            "[0-9a-f]{64}$",
            "64 hexadecimal digits are a payment hash, a preimage or the id of a transaction, from which no "
            "payment request follows",
            "hub.invoice() finds an invoice of yours by its payment hash; of others ask the payee.",
        ),
        (
            r"[^\s@:/?#]+@[^\s@:/?#]+(?::\d+)?$",
            "this is a Lightning address, through which a wallet asks for one, or an e-mail address",
            _WALLET,
        ),
        ("lnurl[pwc]?(?:1|:)|keyauth:", "this is an LNURL, through which a wallet asks for one", _WALLET),
        ("lno1", "this is a BOLT 12 offer", _ASK),
        ("lnr1", "this is a BOLT 12 invoice request", _ASK),
        ("lni1", "this is a BOLT 12 invoice, which is another format", _ASK),
        ("bc1[02-9ac-hj-np-z]{8,87}$", "this is an on-chain address", _ASK),
        (
            "(?:bcrt|tb)1[02-9ac-hj-np-z]{8,87}$",
            "this is an on-chain address of a test network",
            _ASK,
        ),
        ("(?-i:[13](?![0-9a-f]+$)[1-9A-HJ-NP-Za-km-z]{25,34})$", "this looks like an on-chain address", _ASK),
        (
            "(?-i:[mn2](?![0-9a-f]+$)[1-9A-HJ-NP-Za-km-z]{25,34})$",
            "this looks like an on-chain address of a test network",
            _ASK,
        ),
        (
            "(?:cashu:(?://)?)?cashu[ab]",
            "this is ecash: whoever has this text has the money",
            "Redeem it in a Cashu wallet, and show it to nobody.",
        ),
        ("(?:cashu:(?://)?)?creqa", "this is a Cashu payment request, which asks for ecash", _ASK),
        ("https?:", "this is a web link without lightning= in it", "Open it, and copy what it shows to pay."),
    )
)
_AGAIN = "Copy the whole payment request again, and nothing else."


def request_in(text: str) -> str:
    """What a pasted text has for a payment request, in the case in which it stands there, right or damaged.

    Raises:
        PaymentRequestError: ``too_long``; ``bad_prefix``: it is something else that has a name;
            ``bad_bech32``: there are several, or white space that cannot be taken out.
    """
    if len(text) > _MAX_PASTED:  # before anything that has to look at each character
        raise _too_long(text)
    plain = text.isascii() and text.isalnum()  # as nearly all are that a hub sends
    request = text if plain else _joined(_out_of_link(_bare(_out_of_mail(text))))
    if len(request) > MAX_CHARACTERS:
        raise _too_long(request)
    if len(START.findall(request)) > 1:
        raise _several()
    if not START.match(request):
        _refuse_other_things(request)
    return request


def _out_of_mail(text: str) -> str:
    """The text without what mail programs put before and after each line."""
    lines = _QUOTED_LINE.sub("", _SOFT_BREAK.sub("", text))
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), lines)


def _bare(text: str) -> str:
    """The text without quotation marks, brackets, punctuation, emoji and invisible marks at its ends."""
    begin, end = 0, len(text)
    while begin < end and _is_decoration(text[begin]):
        begin += 1
    while begin < end and _is_decoration(text[end - 1]):
        end -= 1
    return text[begin:end]


def _is_decoration(letter: str) -> bool:
    category = unicodedata.category(letter)
    known = category[0] in "ZP" or category in ("Cc", "Cf", "Sk", "Sm", "So")
    return known or letter in _MARKS or ord(letter) in _SHAPES


def _out_of_link(text: str) -> str:
    """What a link asks to be paid; any other text as it is."""
    if _ENCODED_LINK.match(text):
        text = urllib.parse.unquote(text)
    _refuse_several(urllib.parse.unquote(text))
    if parameter := _PARAMETER.search(text):
        text = parameter[1]
    elif _BITCOIN_LINK.match(text):
        offer = "lno=" in text.lower()
        reason = f"the link has {'a BOLT 12 offer' if offer else 'an on-chain address'} only"
        raise _refusal("bad_prefix", reason, "Ask for one that has lightning= in it.")
    text = _bare(urllib.parse.unquote(text))
    if scheme := _SCHEMES.match(text):
        text = _OTHER_PARAMETERS.sub("", text[scheme.end() :])
    return _bare(text)


def _joined(text: str) -> str:
    """The text without white space and invisible marks inside it, if its checksum then is right."""
    gaps = [] if text.isalnum() else [letter for letter in text if _is_gap(letter)]
    joined = "".join(letter for letter in text if not _is_gap(letter)) if gaps else text
    if not gaps or len(START.findall(joined)) != 1:
        return text
    if not _is_whole(joined):
        reason = (
            "without the white space in it its checksum is wrong: a piece is missing, or words are around it"
        )
        raise _refusal("bad_bech32", reason, _AGAIN)
    first, _, rest = text.partition(" ")
    slip = gaps == [" "] and len(first) < len(rest)  # no line ended there, as lines of one width end
    return text if slip else joined


def _is_gap(letter: str) -> bool:
    return letter.isspace() or unicodedata.category(letter) == "Cf"


def _refuse_several(text: str) -> None:
    """Refuse a text with several whole payment requests, wherever in it."""
    words = {word.lower() for word in re.split("[^0-9A-Za-z]+", text) if START.match(word)}
    if len(words) > 1 and sum(map(_is_whole, words)) > 1:
        raise _several()


def _is_whole(text: str) -> bool:
    try:
        return bool(_bech32.check(*_bech32.split(text)))
    except PaymentRequestError:
        return False


def _refuse_other_things(text: str) -> None:
    for pattern, reason, what_to_do in _OTHER_THINGS:
        if pattern.match(text):
            raise _refusal("bad_prefix", reason, what_to_do)


def _several() -> PaymentRequestError:
    return _refusal("bad_bech32", "there are several in this text, or one several times", "Paste one alone.")


def _too_long(text: str) -> PaymentRequestError:
    reason = f"it has {len(text):,} characters, and {MAX_CHARACTERS:,} are the most"
    return _refusal("too_long", reason, "Copy the payment request alone.")


def _refusal(code: str, reason: str, what_to_do: str) -> PaymentRequestError:
    return PaymentRequestError(f"This is no valid payment request: {reason}. {what_to_do}", code=code)
