"""Fifty texts that a browser must show and nothing else; what they run sets ``window.ran``."""

from __future__ import annotations

import re

RUN = "window.ran=1"
HOSTILE = [
    f"<script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f'"><svg onload={RUN}>',
    f"</td></tr></table><script>{RUN}</script>",
    f"</style><script>{RUN}</script>",
    f"</textarea><img src=x onerror={RUN}>",
    f"<iframe srcdoc='<script>parent.{RUN}</script>'>",
    f"<a href='javascript:{RUN}'>click</a>",
    f"<details open ontoggle={RUN}>",
    f"<body onload={RUN}>",
    f"<style>@import 'javascript:{RUN}';*{{display:none}}</style>",
    "<style>.hn-table{display:none}</style>",
    "<div style='position:fixed;inset:0'>over all</div>",
    "<meta http-equiv=refresh content='0;url=about:blank'>",
    "<base href='http://example.invalid/'>",
    "<plaintext>",
    "<!-- never closed",
    "<![CDATA[ never closed",
    "]]>",
    "-->",
    "&lt;b&gt;bold&lt;/b&gt;",
    "&amp;&quot;&#60;&#x3c;",
    "&nbsp;&zwj;",
    "' onmouseover='window.ran=1",
    '" autofocus onfocus="window.ran=1',
    "`${window.ran=1}`",
    "{{constructor.constructor('window.ran=1')()}}",
    "<%= window.ran=1 %>",
    "$(window.ran=1)",
    "$$\\require{html}\\href{javascript:window.ran=1}{x}$$",
    "[x](javascript:window.ran=1)",
    "![x](x)",
    "**bold** _it_ `code`",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1+1",
    "@SUM(A1:A9)",
    "\t=1+1",
    "\u202egnirts desrever\u202c",
    "\u2066isolate\u2069 \u2067right\u2069",
    "\u200f\u200e\u061c marks",
    "zero\u200bwidth\u2060joiner\ufeff",
    "שלום עולם and العربية",
    "Z̸̢̛̗̬̭̈́̀a̷̡͇͗͝l̴̨̹̀g̵̞̈́o̶̜͑" * 20,
    "👩‍👩‍👧‍👦🏳️‍🌈" * 20,
    "\u0000\u0001\u0007\u001b[31mred\u007f\u0085",
    "line\nfeed\r\nand\ttab\u2028\u2029",
    "W" * 10_000,
    "w w " * 2_500,
    "\ufffd\ud7ff\uffff",
]
assert len(HOSTILE) == 50

# shown as U+XXXX
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
