"""Plots as SVG: small, drawn directly, each with a text that says what is in it.

They take their colours from `PLOT_STYLE`, which stands in the page, or in the file of a plot that is
saved by itself. Of two lines the second is dashed, of two bars it stands on the right, so that
nobody needs to see their colours.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np

WIDTH, HEIGHT = 380, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 12, 14, 40
_MARKS = 600
_CLASSES = 10


def _rules(ink: str, soft: str, line: str, first: str, second: str) -> str:
    return (
        f".plot text{{fill:{soft};font:12px system-ui,sans-serif}}.plot .ink{{fill:{ink}}}"
        f".plot .grid{{stroke:{line};fill:none}}.plot .axis{{stroke:{soft};fill:none}}"
        f".plot .f1{{fill:{first}}}.plot .f2{{fill:{second}}}.plot .n{{fill:{first};fill-opacity:.45}}"
        f".plot .s1{{stroke:{first};fill:none;stroke-width:2}}"
        f".plot .s2{{stroke:{second};fill:none;stroke-width:2;stroke-dasharray:6 3}}"
    )


PLOT_STYLE = (
    _rules("#17312f", "#4d6a67", "#d5e2e0", "#17655f", "#b4540a")
    + "@media (prefers-color-scheme:dark){"
    + _rules("#e3efed", "#9ab5b2", "#2c4549", "#7fd0c6", "#ffb066")
    + "}"
)


@dataclass(frozen=True)
class Plot:
    """What a plot shows, in words and drawn."""

    text: str
    body: str
    height: int = HEIGHT

    def svg(self, place: str = "") -> str:
        """The element for a page."""
        return (
            f'<svg class="plot" viewBox="0 0 {WIDTH} {self.height}" role="img" {place}'
            f'aria-label="{escape(self.text)}">{self.body}</svg>'
        )


def sheet(title: str, plots: Sequence[Plot]) -> str:
    """A file of its own with plots side by side."""
    height = 34 + max((plot.height for plot in plots), default=20)
    width = WIDTH * max(1, len(plots))
    drawn = "".join(
        plot.svg(f'x="{WIDTH * place}" y="30" width="{WIDTH}" height="{plot.height}" ')
        for place, plot in enumerate(plots)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}"><title>{escape(title)}</title><style>{PLOT_STYLE}</style>'
        f'<text class="ink" x="14" y="22">{escape(title)}</text>{drawn}</svg>\n'
    )


class _Scale:
    """Places of values along an axis, evenly or by their logarithm."""

    def __init__(self, low: float, high: float, start: float, end: float, log: bool = False) -> None:
        if not high > low:
            low, high = (low / 2, high * 2) if log and low > 0 else (low - 0.5, high + 0.5)
        self.low, self.high, self.log = low, high, log
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        low, high, found = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, found = math.log(low), math.log(high), math.log(found)
        return round(self._start + (found - low) / (high - low) * (self._end - self._start), 1)

    def ticks(self) -> list[float]:
        """Round values to write at the axis."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            every = [10.0**power * part for power in powers for part in (1, 2, 5)]
            found = [value for value in every if self.low <= value <= self.high]
            found = found if len(found) <= 6 else [value for value in found if f"{value:e}"[0] == "1"]
            return found or [self.low, self.high]
        rough = (self.high - self.low) / 4
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * part for part in (1, 2, 5, 10) if power * part >= rough)
        first = math.ceil(self.low / step)
        return [place * step for place in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _axes(x: _Scale, y: _Scale, across: str, up: str, percent: bool = False) -> str:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    drawn = f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>'
    for value in y.ticks():
        said = f"{100 * value:.0f} %" if percent else f"{value:.4g}"
        drawn += f'<path class="grid" d="M{_LEFT} {y(value)}H{right}"/>'
        drawn += f'<text x="{_LEFT - 5}" y="{y(value) + 4}" text-anchor="end">{said}</text>'
    for value in x.ticks():
        drawn += f'<path class="grid" d="M{x(value)} {_TOP}V{bottom}"/>'
        drawn += f'<text x="{x(value)}" y="{bottom + 15}" text-anchor="middle">{value:.4g}</text>'
    middle = (_LEFT + right) / 2
    drawn += f'<text x="{middle}" y="{HEIGHT - 7}" text-anchor="middle">{escape(across)}</text>'
    return drawn + (f'<text x="4" y="11">{escape(up)}</text>' if up else "")


def _square(low: float, high: float) -> tuple[_Scale, _Scale]:
    return (
        _Scale(low, high, _LEFT, WIDTH - _RIGHT),
        _Scale(low, high, HEIGHT - _BOTTOM, _TOP + 8),
    )


def scatter(pairs: Sequence[tuple[float, float]], across: str, up: str) -> Plot:
    """One number against another; on the diagonal they are equal."""
    found = [pair for pair in pairs if math.isfinite(pair[0]) and math.isfinite(pair[1])]
    shown = found[:: max(1, -(-len(found) // _MARKS))]
    values = [value for pair in found for value in pair] or [0.0]
    x, y = _square(min(values), max(values))
    body = _axes(x, y, across, up) + f'<path class="s2" d="M{x(x.low)} {y(x.low)}L{x(x.high)} {y(x.high)}"/>'
    body += "".join(f'<circle class="n" cx="{x(a)}" cy="{y(b)}" r="2.5"/>' for a, b in shown)
    apart = float(np.median([abs(b - a) for a, b in found])) if found else 0.0
    text = (
        f"Scatter plot of {up} against {across}: {len(found)} pairs, half of them at most {apart:.4g} apart"
    )
    return Plot(text, body)


def heat(pairs: Sequence[tuple[str, str]], across: str, up: str) -> Plot:
    """How often which class stands beside which; beyond the most frequent ten, the rest are one."""
    often = Counter(name for pair in pairs for name in pair)
    names = [name for name, _ in often.most_common(_CLASSES)]
    if len(often) > len(names):
        names.append("any other")
    counts = Counter(tuple(name if name in names else "any other" for name in pair) for pair in pairs)
    names.sort()
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    left = _LEFT + 30
    wide, high = (right - left) / max(1, len(names)), (bottom - _TOP - 8) / max(1, len(names))
    most = max(counts.values(), default=1)
    body = f'<text x="4" y="11">{escape(up)}</text>'
    for row, second in enumerate(names):
        y = _TOP + 8 + row * high
        body += f'<text x="{left - 6}" y="{y + high / 2 + 4:.1f}" text-anchor="end">{_short(second)}</text>'
        for column, first in enumerate(names):
            count = counts[first, second]
            x, shade = left + column * wide, 0.06 + 0.6 * count / most if count else 0
            body += (
                f'<rect class="f1" fill-opacity="{shade:.2f}" x="{x:.1f}" y="{y:.1f}" '
                f'width="{wide - 1.5:.1f}" height="{high - 1.5:.1f}"/>'
                f'<text class="ink" x="{x + wide / 2:.1f}" y="{y + high / 2 + 4:.1f}" '
                f'text-anchor="middle">{count if count else ""}</text>'
            )
    for column, first in enumerate(names):
        x = left + (column + 0.5) * wide
        said = _short(first, max(3, int(wide / 7)))
        body += f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{said}</text>'
    body += f'<text x="{(left + right) / 2}" y="{HEIGHT - 7}" text-anchor="middle">{escape(across)}</text>'
    said = ", ".join(f"{a} and {b} {count}" for (a, b), count in counts.most_common(12))
    return Plot(f"Counts of {across} and {up}: {said}", body)


def latencies(first: Sequence[float], second: Sequence[float], names: tuple[str, str]) -> Plot:
    """Two latency distributions in milliseconds: the share of requests that took at most so long."""
    levels = np.linspace(0, 1, 61)
    sides = [np.maximum(np.asarray(side, dtype="float64"), 1e-3) for side in (first, second)]
    every = np.concatenate(sides)
    low, high = (float(every.min()), float(np.quantile(every, 0.999))) if len(every) else (1.0, 10.0)
    x = _Scale(low, high, _LEFT, WIDTH - _RIGHT, log=True)
    y = _Scale(0, 1, HEIGHT - _BOTTOM, _TOP + 8)
    body = _axes(x, y, "share that took at most so many milliseconds", "", percent=True)
    said = []
    for place, (side, name) in enumerate(zip(sides, names, strict=True), 1):
        if len(side):
            times = np.quantile(side, levels)
            line = "L".join(f"{x(float(t))} {y(float(p))}" for t, p in zip(times, levels, strict=True))
            body += f'<path class="s{place}" d="M{line}"/>'
            said.append(
                f"{name} {np.quantile(side, 0.5):.3g} at the median, {np.quantile(side, 0.99):.3g} at p99"
            )
    return Plot(f"Latencies in milliseconds: {'; '.join(said)}", body + _legend(names))


def roc(false: Sequence[float], true: Sequence[float], auc: float | None) -> Plot:
    """A receiver operating characteristic; the dashed diagonal is what guessing does."""
    x, y = _square(0, 1)
    line = "L".join(f"{x(a)} {y(b)}" for a, b in zip(false, true, strict=True))
    body = _axes(x, y, "false positive rate", "true positive rate")
    body += f'<path class="s2" d="M{x(0)} {y(0)}L{x(1)} {y(1)}"/><path class="s1" d="M{line}"/>'
    return Plot(f"ROC curve, area below it {auc:.3f}" if auc is not None else "ROC curve", body)


def intervals(arms: Sequence[tuple[str, float, tuple[float, float]]], percent: bool) -> Plot:
    """A mean with its interval for each arm, one below the other."""
    height = 44 + 34 * len(arms)
    low = min(interval[0] for _, _, interval in arms)
    high = max(interval[1] for _, _, interval in arms)
    x = _Scale(low, high, 14, WIDTH - 24)
    body = ""
    for value in x.ticks():
        said = f"{100 * value:.3g} %" if percent else f"{value:.4g}"
        body += f'<path class="grid" d="M{x(value)} 6V{height - 24}"/>'
        body += f'<text x="{x(value)}" y="{height - 8}" text-anchor="middle">{said}</text>'
    for place, (name, mean, (start, end)) in enumerate(arms):
        y = 36 + 34 * place
        body += (
            f'<text class="ink" x="14" y="{y - 12}">{_short(name, 40)}</text>'
            f'<path class="s1" d="M{x(start)} {y}H{x(end)}M{x(start)} {y - 5}v10M{x(end)} {y - 5}v10"/>'
            f'<circle class="f1" cx="{x(mean)}" cy="{y}" r="4.5"/>'
        )
    said = "; ".join(f"{name} {mean:.4g}, from {start:.4g} to {end:.4g}" for name, mean, (start, end) in arms)
    return Plot(f"Means with their 95 % intervals: {said}", body, height)


def bars(bins: dict[str, Any]) -> Plot:
    """A column's shares by bin or category: the reference's on the left of each pair, now's on the right."""
    before, after = (np.asarray(bins[side], dtype="float64")[:12] for side in ("reference", "now"))
    totals = [max(1.0, float(np.sum(bins[side]))) for side in ("reference", "now")]
    before, after = before / totals[0], after / totals[1]
    names = _bin_names(bins)[:12]
    y = _Scale(0, float(max(before.max(), after.max(), 0.01)), 150, 24)
    wide = (WIDTH - _RIGHT - _LEFT) / len(names)
    body = f'<path class="axis" d="M{_LEFT} 24V150H{WIDTH - _RIGHT}"/>'
    for value in y.ticks():
        body += f'<path class="grid" d="M{_LEFT} {y(value)}H{WIDTH - _RIGHT}"/>'
        body += f'<text x="{_LEFT - 5}" y="{y(value) + 4}" text-anchor="end">{100 * value:.3g} %</text>'
    room = max(3, int(wide / 6.6))
    numeric = "edges" in bins
    for place, name in enumerate(names):
        left = _LEFT + place * wide
        for side, value in enumerate((before[place], after[place])):
            top = y(float(value))
            body += (
                f'<rect class="f{side + 1}" x="{left + wide * (0.1 + 0.4 * side):.1f}" y="{top}" '
                f'width="{wide * 0.38:.1f}" height="{150 - top:.1f}"/>'
            )
        if not numeric:
            body += (
                f'<text x="{left + wide / 2:.1f}" y="165" text-anchor="middle">{_short(name, room)}</text>'
            )
    if numeric:
        body += f'<text x="{_LEFT}" y="165">{escape(names[0])}</text>'
        body += f'<text x="{WIDTH - _RIGHT}" y="165" text-anchor="end">{escape(names[-1])}</text>'
    said = ", ".join(
        f"{name} {100 * a:.3g} % then {100 * b:.3g} % now"
        for name, a, b in zip(names, before, after, strict=True)
    )
    return Plot(
        f"Shares in the reference and now: {said}", body + _legend(("reference", "now"), squares=True), 172
    )


def _bin_names(bins: dict[str, Any]) -> list[str]:
    if "names" in bins:
        return [str(name) for name in bins["names"]]
    edges = [f"{edge:.4g}" for edge in bins["edges"]]
    inner = [f"{low} to {high}" for low, high in pairwise(edges)]
    return [f"up to {edges[0]}", *inner, f"above {edges[-1]}"]


def _legend(names: tuple[str, str], squares: bool = False) -> str:
    drawn, x = "", float(WIDTH - _RIGHT)
    for place, name in ((2, names[1]), (1, names[0])):
        short = name if len(name) <= 18 else name[:17] + "…"
        x -= 7 * len(short)
        drawn += f'<text x="{x}" y="11">{escape(short)}</text>'
        x -= 24
        drawn += (
            f'<rect class="f{place}" x="{x + 8}" y="2" width="10" height="10"/>'
            if squares
            else f'<path class="s{place}" d="M{x} 7h19"/>'
        )
        x -= 10
    return drawn


def _short(text: str, room: int = 11) -> str:
    return escape(text if len(text) <= room else text[: room - 1] + "…")
