"""What a test needs of cards: a reader of their HTML, and fifty memos that nobody means well with."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

TAGS = {"a", "abbr", "b", "code", "div", "em", "li", "span", "ul"}
ATTRIBUTES = {"aria-label", "dir", "href", "role", "style", "title"}
_QR = re.compile(r"url\((data:image/png;base64,[A-Za-z0-9+/=]+)\)")

MEMOS = [
    # tags and handlers
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<IMG SRC=x OnErRoR=alert(1)//",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<iframe src=https://example.com></iframe>",
    "<a href=javascript:alert(1)>pay here</a>",
    "<form action=//example.com><button>pay</button></form>",
    "<details open ontoggle=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<meta http-equiv=refresh content='0;url=//example.com'>",
    "<base href=//example.com>",
    "<link rel=stylesheet href=//example.com/x.css>",
    "<plaintext>",
    "<textarea>",
    "<template><img src=x onerror=alert(1)></template>",
    # out of the element or the attribute that it stands in
    "</div>",
    "</span></li></ul></div><h1>Paid</h1>",
    "</code></div><div role=alert>",
    '" onmouseover=alert(1) x="',
    "' onmouseover=alert(1) x='",
    "`onmouseover=alert(1)`",
    '"><img src=x onerror=alert(1)>',
    "<!--",
    "--><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php echo 1 ?>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;img src=x onerror=alert(1)&#62; &amp;amp; &copy",
    # styles, links, templates and other languages
    "<style>*{display:none}</style>",
    ";position:fixed;inset:0;background:url(//example.com)",
    "javascript:alert(document.domain)",
    "data:text/html,<script>alert(1)</script>",
    "lightning:lnbc1evil",
    "{{7*7}} ${7*7} {% raw %} #{7*7} <%= 7*7 %>",
    "**bold** [pay](javascript:alert(1)) ![x](//example.com/x.png)",
    r"$\href{javascript:alert(1)}{pay}$ \begin{equation}",
    '=HYPERLINK("//example.com")',
    "'; DROP TABLE invoices; --",
    # what cannot be seen, or shows itself elsewhere
    "for you\u202e CTB 001 :tnuomA\u202c",
    "\u2066\u2067\u2068isolated",
    "pay\u200bment\u200d \u2060 \ufeff \u00ad \u3164 \u2800",
    "two\r\nlines\tand\x00\x1b[2Jmore\u2028\u2029\x85",
    "o" + "\u0301\u0489" * 150,
    "תשלום עבור שירותים 100 BTC בלבד",
    "👩\u200d👩\u200d👧 ❤\ufe0f 🏴\U000e0067\U000e0062\U000e007f",
    "x" * 639,
    "null",
]


class Page(HTMLParser):
    """What a browser makes of a card: its text, and nothing in it that a card has no use for."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.images: list[dict[str, str]] = []
        self.links: list[str] = []
        self.titles: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag; only plain ones may come, and only QR codes and wallets may be referred to."""
        given: dict[str, Any] = dict(attrs)
        assert tag in TAGS
        assert set(given) <= ATTRIBUTES
        assert len(given) == len(attrs)
        style = given.get("style", "")
        if given.get("role") == "img":
            self.images.append(given | {"source": _QR.findall(style)[0]})
        assert not re.search(r"url|expression|import|@", _QR.sub("", style))
        if "href" in given:
            assert re.fullmatch("lightning:[a-zA-Z0-9%._~-]*", given["href"])
            self.links.append(given["href"])
        if "title" in given:
            self.titles.append((given["title"], ""))
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the tag that is open."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect text."""
        self.text += data
        if self.open and self.open[-1] == "abbr":
            self.titles[-1] = (self.titles[-1][0], data)

    def handle_comment(self, data: str) -> None:
        """Refuse comments, and declarations likewise."""
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment
