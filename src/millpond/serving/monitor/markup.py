"""HTML of the monitor's pages: their style sheet, and pieces beside those that all pages have."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from millpond.markup import Html, document, html, join
from millpond.serving.monitor.plots import PLOT_STYLE, Plot

STYLE = (
    """
:root{color-scheme:light dark;--ground:#eef4f3;--card:#fdfefe;--ink:#17312f;--soft:#4d6a67;--line:#c5d6d4;
--accent:#17655f;--calm:#17655f;--calm-ground:#dff0ed;--warn:#7a4a00;--warn-ground:#fbeed2;--alarm:#9a2c1f;
--alarm-ground:#fbe4df;--deep:#e3eeec;--heat:23 101 95}
@media (prefers-color-scheme:dark){:root{--ground:#0d1b1d;--card:#142629;--ink:#e3efed;--soft:#9ab5b2;
--line:#2c4549;--accent:#7fd0c6;--calm:#8fdcd2;--calm-ground:#12393a;--warn:#ffd28a;--warn-ground:#3d2f10;
--alarm:#ffb4a6;--alarm-ground:#43201b;--deep:#1b3236;--heat:127 208 198}}
*{box-sizing:border-box}
body{margin:0;color:var(--ink);background:var(--ground);
font:1rem/1.5 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:66rem;margin:0 auto;padding:1.5rem 1.25rem 3rem}
header nav{font-size:.9rem;margin-bottom:1rem}
h1{margin:0 0 .25rem;font-size:1.75rem;line-height:1.25;letter-spacing:-.01em;overflow-wrap:anywhere}
section{margin:1.25rem 0 0;padding:1.25rem 1.4rem;background:var(--card);border:1px solid var(--line);
border-radius:.875rem}
h2{margin:0 0 .6rem;font-size:1.2rem}
h3{margin:1.4rem 0 .5rem;font-size:1rem;overflow-wrap:anywhere}
p{margin:.4rem 0;overflow-wrap:anywhere}
.soft,figcaption{color:var(--soft)}
.small{font-size:.875rem}
a{color:var(--accent)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
code{font:.875em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:var(--deep);
padding:.1em .35em;border-radius:.3em;overflow-wrap:anywhere}
.scroll{overflow-x:auto;margin:.75rem 0}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;min-width:100%}
caption{text-align:left;font-weight:600;padding:0 0 .35rem}
th,td{padding:.35rem .9rem .35rem 0;text-align:right;vertical-align:top;border-top:1px solid var(--line);
white-space:nowrap}
thead th{border-top:0;color:var(--soft);font-weight:600;vertical-align:bottom}
th[scope=row]{font-weight:600}
th:first-child,td.text,th.text{text-align:left}
td.text code{white-space:normal}
td.wide,th.wide{white-space:normal;overflow-wrap:anywhere;min-width:9rem}
tbody th{white-space:normal;overflow-wrap:anywhere;min-width:7.5rem;max-width:16rem}
.badge{display:inline-block;padding:.05rem .55rem;border-radius:1rem;font-size:.85rem;font-weight:600;
white-space:nowrap;color:var(--soft);background:var(--deep)}
.badge.calm{color:var(--calm);background:var(--calm-ground)}
.badge.warn{color:var(--warn);background:var(--warn-ground)}
.badge.alarm{color:var(--alarm);background:var(--alarm-ground)}
.note{padding:.5rem .8rem;border-radius:.5rem;background:var(--warn-ground);color:var(--warn)}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:.75rem 1.5rem;margin:.75rem 0}
dt{color:var(--soft);font-size:.85rem}
dd{margin:0;font-size:1.05rem;font-weight:600;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
dd small{display:block;font-weight:400;color:var(--soft);font-size:.85rem}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr));gap:1rem 1.5rem;
margin:.75rem 0}
figure{margin:0;min-width:0}
figcaption{font-size:.875rem;overflow-wrap:anywhere}
figcaption b{color:var(--ink)}
.plot{display:block;width:100%;max-width:27rem;height:auto}
.matrix{min-width:0}
.matrix td,.matrix tbody th{padding:.35rem .8rem}
"""
    + "".join(f".h{step}{{background:rgb(var(--heat)/{step * 6}%)}}" for step in range(1, 11))
    + """
@media (max-width:32rem){main{padding:1rem .6rem 2rem}section{padding:1rem .9rem}h1{font-size:1.4rem}
dl{grid-template-columns:1fr 1fr}}
"""
    + PLOT_STYLE
)

_STROKES = "M4 36l12-14 10 8 18-20M4 44h40"


def page(title: str, content: str) -> str:
    """A whole document."""
    return document(title, content, style=STYLE, strokes=_STROKES)


def heading(title: str) -> Html:
    """A heading in a section."""
    return Html(f"<h3>{escape(title)}</h3>")


def paragraph(*parts: Any, kind: str = "") -> Html:
    """A paragraph; its kind is ``soft``, ``small``, ``note``, or several of them."""
    return Html(f'<p class="{kind}">{join(parts)}</p>' if kind else f"<p>{join(parts)}</p>")


def badge(word: str, kind: str = "") -> Html:
    """A verdict in its words; the kind ``calm``, ``warn`` or ``alarm`` only colours it."""
    return Html(f'<span class="badge {kind}">{escape(word)}</span>')


def facts(found: Iterable[tuple[str, Any, Any]]) -> Html:
    """Names with their values, each with a remark or none."""
    items = (
        f"<div><dt>{escape(name)}</dt><dd>{html(value)}"
        f"{f'<small>{html(more)}</small>' if more else ''}</dd></div>"
        for name, value, more in found
    )
    return Html(f"<dl>{''.join(items)}</dl>")


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[Any]], texts: Iterable[int] = ()
) -> Html:
    """A table whose rows are named by their first cell; `texts` are the columns of words."""
    words = {*texts}

    def kind(place: int) -> str:
        return ' class="text"' if place in words else ""

    head = "".join(f'<th scope="col"{kind(place)}>{escape(text)}</th>' for place, text in enumerate(heads))
    body = "".join(
        f'<tr><th scope="row">{html(row[0])}</th>'
        + "".join(f"<td{kind(place)}>{html(cell)}</td>" for place, cell in enumerate(row[1:], 1))
        + "</tr>"
        for row in rows
    )
    return Html(
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def figures(found: Iterable[tuple[Any, Plot]]) -> Html:
    """Plots with their captions, as many beside each other as there is room for."""
    body = "".join(
        f"<figure><figcaption>{html(caption)}</figcaption>{plot.svg()}</figure>" for caption, plot in found
    )
    return Html(f'<div class="plots">{body}</div>' if body else "")


def matrix(caption: str, names: Sequence[str], counts: Sequence[Sequence[int]]) -> Html:
    """A confusion matrix: a row per truth, a column per prediction, shaded by the share of its row."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = ""
    for name, row in zip(names, counts, strict=True):
        most = max(1, sum(row))
        cells = "".join(f'<td class="h{math.ceil(10 * count / most)}">{count:,}</td>' for count in row)
        body += f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    return Html(
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f'<table class="matrix"><caption>{escape(caption)}</caption><thead><tr>'
        f'<td class="text">true \\ said</td>'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def number(value: float | None) -> str:
    """A number in four figures, a dash for none."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.4g}"


def share(value: float | None) -> str:
    """A fraction as a percentage, a dash for none."""
    return "-" if value is None else f"{100 * value:.3g} %"


def moment(seconds: float | None) -> str:
    """A time in Unix seconds as a date and time of UTC."""
    return "-" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
