"""HTML of the component's pages: their style sheet, and pieces beside those that all pages have.

A page that shows something going on asks for itself again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from millpond.markup import Html, document, html, join

STYLE = """
:root{color-scheme:light dark;--ground:#eef4f3;--card:#fdfefe;--ink:#17312f;--soft:#4d6a67;--line:#c5d6d4;
--accent:#17655f;--good:#17655f;--good-ground:#dff0ed;--busy:#7a4a00;--busy-ground:#fbeed2;--bad:#9a2c1f;
--bad-ground:#fbe4df;--deep:#e3eeec}
@media (prefers-color-scheme:dark){:root{--ground:#0d1b1d;--card:#142629;--ink:#e3efed;--soft:#9ab5b2;
--line:#2c4549;--accent:#7fd0c6;--good:#8fdcd2;--good-ground:#12393a;--busy:#ffd28a;--busy-ground:#3d2f10;
--bad:#ffb4a6;--bad-ground:#43201b;--deep:#1b3236}}
*{box-sizing:border-box}
body{margin:0;color:var(--ink);background:var(--ground);
font:1rem/1.5 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:66rem;margin:0 auto;padding:1.5rem 1.25rem 3rem}
nav{font-size:.9rem;margin-bottom:1rem}
h1{margin:0 0 .25rem;font-size:1.6rem;line-height:1.25;overflow-wrap:anywhere}
section{margin:1.25rem 0 0;padding:1.25rem 1.4rem;background:var(--card);border:1px solid var(--line);
border-radius:.875rem}
h2{margin:0 0 .6rem;font-size:1.2rem}
p{margin:.4rem 0;overflow-wrap:anywhere}
.soft{color:var(--soft)}
a{color:var(--accent)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
code,pre{font:.875em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:var(--deep);
border-radius:.3em;overflow-wrap:anywhere}
code{padding:.1em .35em}
pre{padding:.75rem 1rem;white-space:pre-wrap;margin:.6rem 0}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;min-width:100%}
th,td{padding:.4rem .9rem .4rem 0;text-align:left;vertical-align:top;border-top:1px solid var(--line)}
thead th{border-top:0;color:var(--soft);font-weight:600}
tbody th{font-weight:600;overflow-wrap:anywhere}
.badge{display:inline-block;padding:.05rem .55rem;border-radius:1rem;font-size:.85rem;font-weight:600;
white-space:nowrap;color:var(--soft);background:var(--deep)}
.badge.good{color:var(--good);background:var(--good-ground)}
.badge.busy{color:var(--busy);background:var(--busy-ground)}
.badge.bad{color:var(--bad);background:var(--bad-ground)}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(12rem,1fr));gap:.75rem 1.5rem;margin:.75rem 0 0}
dt{color:var(--soft);font-size:.85rem}
dd{margin:0;font-weight:600;overflow-wrap:anywhere}
@media (max-width:32rem){main{padding:1rem .6rem 2rem}section{padding:1rem .9rem}h1{font-size:1.3rem}
dl{grid-template-columns:1fr 1fr}}
"""
_KINDS = {"succeeded": "good", "failed": "bad", "running": "busy", "cancelled": "bad"}
_STROKES = "M6 10h12v10H6zM30 28h12v10H30zM18 15h18v13"


def page(title: str, content: Html, *, again: int | None = None) -> str:
    """A whole document; `again` is after how many seconds it is asked for anew."""
    return document(title, content, style=STYLE, strokes=_STROKES, again=again)


def head(title: str, *under: Any, back: tuple[str, str] | None = None) -> Html:
    """The top of a page: where one came from, what this is, and a line on it."""
    way = f'<nav><a href="{escape(back[0])}">{escape(back[1])}</a></nav>' if back else ""
    return Html(f"<header>{way}<h1>{escape(title)}</h1>{paragraph(*under) if under else ''}</header>")


def paragraph(*parts: Any, soft: bool = False) -> Html:
    """A paragraph."""
    return Html(f'<p class="soft">{join(parts)}</p>' if soft else f"<p>{join(parts)}</p>")


def link(address: str, text: Any) -> Html:
    """A link; the address is ours, with its parts quoted."""
    return Html(f'<a href="{escape(address)}">{html(text)}</a>')


def lines(text: str) -> Html:
    """Lines as a program wrote them."""
    return Html(f"<pre>{escape(text)}</pre>")


def state(word: str) -> Html:
    """The state of a run or step; the colour only repeats the word."""
    return Html(f'<span class="badge {_KINDS.get(word, "")}">{escape(word)}</span>')


def facts(found: Iterable[tuple[str, Any]]) -> Html:
    """Names with their values; those without one are left out."""
    items = (f"<div><dt>{escape(name)}</dt><dd>{html(value)}</dd></div>" for name, value in found if value)
    return Html(f"<dl>{''.join(items)}</dl>")


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Html:
    """A table whose rows are named by their first cell."""
    top = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(
        f'<tr><th scope="row">{html(row[0])}</th>'
        + "".join(f"<td>{html(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return Html(
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def moment(seconds: float | None) -> str:
    """A time in Unix seconds as a date and time of UTC; nothing for none."""
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def took(seconds: float | None) -> str:
    """How long something took; nothing for none."""
    if not seconds:
        return ""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60} s"


def value(found: Any) -> str:
    """A value in a line."""
    return found if isinstance(found, str) else json.dumps(found, default=str, ensure_ascii=False)
