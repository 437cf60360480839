"""HTML of the pages that components serve: what is text is escaped, what is made here is `Html` and is not.

Such pages fetch nothing and run no script. Their one style sheet stands in them and is allowed by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from typing import Any


def policy(style: str) -> dict[str, str]:
    """The headers of an answer that a browser shows: it may use this style sheet, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return {
        "content-security-policy": (
            f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; form-action 'none'; "
            "frame-ancestors 'none'; base-uri 'none'"
        ),
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }


class Html(str):
    """A piece of HTML, as opposed to a text."""

    __slots__ = ()


def html(value: Any) -> str:
    """A value as HTML: escaped, unless it is `Html`."""
    return value if isinstance(value, Html) else escape(str(value))


def join(parts: Iterable[Any]) -> Html:
    """Pieces one after the other."""
    return Html("".join(html(part) for part in parts))


def document(title: str, content: str, *, style: str, strokes: str, again: int | None = None) -> str:
    """A whole document.

    Args:
        strokes: the path of the icon in its tab, in 48 by 48.
        again: after how many seconds the page is asked for anew.
    """
    refresh = f'<meta http-equiv="refresh" content="{again}">' if again else ""
    icon = (
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 48 48' fill='none' "
        f"stroke='%232c8079' stroke-width='5'%3E%3Cpath d='{strokes}'/%3E%3C/svg%3E"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">{refresh}'
        f'<link rel="icon" href="{icon}"><title>{escape(title)} · Millpond</title><style>{style}</style>'
        f"</head><body><main>{content}</main></body></html>\n"
    )


def section(title: str, *parts: Any) -> Html:
    """A part of the page under a heading."""
    name = title.lower().replace(" ", "-")
    return Html(
        f'<section aria-labelledby="{escape(name)}"><h2 id="{escape(name)}">{escape(title)}</h2>'
        f"{join(parts)}</section>"
    )


def code(text: str) -> Html:
    """A command to type, or a name."""
    return Html(f"<code>{escape(text)}</code>")
