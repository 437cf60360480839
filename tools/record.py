"""Records a real run of Millpond as a moving picture (SVG), for the README.

    python tools/record.py FOLDER PICTURE.svg [PIPELINE]

Run it in the checkout's folder, so that PIPELINE is shown as a reader would type it. FOLDER has a platform
that is down. It is brought up and, where PIPELINE is named, that is run; their events are drawn by the
command line's own views, a few frames a second, with the times at which they came.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.terminal_theme import MONOKAI
from rich.text import Text

from millpond.cli.run_views import LiveRunView
from millpond.cli.running import show_results
from millpond.cli.style import columns, out, seconds_text
from millpond.cli.views import LiveView
from millpond.model.events import ComponentEvent, Phase, Progress
from millpond.pipelines.events import RunEnded, RunStarted, from_line

WIDTH = 108
FRAME = 0.5
SPEED = 2.0
HOLD = 6.0
Frame = tuple[float, RenderableType]


def recorded(folder: Path, *words: str) -> Iterator[tuple[float, str]]:
    """The lines that a command prints, with the seconds since its start."""
    command = [sys.executable, "-m", "millpond", "-C", str(folder), *words, "--json"]
    begun = time.time()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield time.time() - begun, line
    if process.returncode:
        sys.exit(process.returncode)


def play(events: list[tuple[float, Any]], view: Any, until: float) -> Iterator[Frame]:
    """The view's frames while the events come at their times."""
    waiting = list(events)
    now = 0.0
    view.clock = lambda: now
    while now < until:
        while waiting and waiting[0][0] <= now:
            view(waiting.pop(0)[1])
        yield FRAME / SPEED, view.drawing.render()
        now += FRAME
    now = until
    for _, event in waiting:
        view(event)
    yield FRAME / SPEED, view.drawing.render()


def component_event(data: dict[str, Any], begun: float) -> ComponentEvent:
    """The event that ``up --json`` printed, with its time as seconds from the start."""
    progress = Progress(**data.pop("progress")) if "progress" in data else None
    data["at"] -= begun
    return ComponentEvent(**{**data, "phase": Phase(data["phase"])}, progress=progress)


def said(function: Callable[[], None]) -> Text:
    """What a function of the command line prints, with its colours."""
    stream = io.StringIO()
    with redirect_stdout(stream), redirect_stderr(stream):
        function()
    return Text.from_ansi(stream.getvalue().rstrip("\n"))


def prompt(command: str) -> Text:
    """A command line as it was typed."""
    return Text.assemble(("$ ", "bold green"), (command, "bold"))


class _Silent:
    """Takes the place of a drawing that would go to the terminal."""

    def __init__(self, render: Callable[[], RenderableType]) -> None:
        self.render = render

    def open(self) -> None: ...

    def close(self) -> None: ...


def film_up(folder: Path) -> list[Frame]:
    """`millpond up`."""
    planned = json.loads(next(line for _, line in list(recorded(folder, "plan"))))
    lines = [(at, json.loads(line)) for at, line in recorded(folder, "up")]
    events = [(at, data) for at, data in lines if "component" in data]
    begun = events[0][1]["at"]
    typed = [(data["at"] - begun, component_event(data, begun)) for _, data in events]
    view = LiveView(change["component"] for change in planned["changes"])
    view.drawing = _Silent(view.drawing.render)  # type: ignore[assignment]
    end = typed[-1][0]
    head = prompt("millpond up")
    frames = [(at, Group(head, shown)) for at, shown in play(typed, view, end)]
    urls = lines[-1][1]["urls"]
    name = lines[-1][1]["platform"]

    def tail() -> None:
        out()
        out(f"{name} up after {seconds_text(end)}")
        for line in columns(list(urls.items())):
            out(line)

    return [*frames, (HOLD / 2, Group(frames[-1][1], said(tail)))]


def film_run(folder: Path, pipeline: str) -> list[Frame]:
    """`millpond run PIPELINE`."""
    events: list[tuple[float, Any]] = []
    for at, line in recorded(folder, "run", pipeline):
        data = json.loads(line)
        if "event" in data:
            events.append((at, from_line(line)))
    started = next(at for at, event in events if isinstance(event, RunStarted))
    events = [(at - started, event) for at, event in events]
    ended = next(event for _, event in events if isinstance(event, RunEnded))
    view = LiveRunView()
    view.drawing = _Silent(view.drawing.render)  # type: ignore[assignment]
    shown = os.path.relpath(pipeline) if Path(pipeline).exists() else pipeline
    head = prompt(f"millpond run {shown}")
    frames = [(at, Group(head, drawn)) for at, drawn in play(events, view, events[-1][0])]
    results = {label: value for label, value in ended.results.items() if not isinstance(value, dict)}
    return [*frames, (HOLD, Group(frames[-1][1], said(lambda: show_results(results))))]


def picture(frames: list[Frame]) -> str:
    """One SVG that shows the frames after each other, for ever."""
    height = max(len(_console(drawn).export_text().splitlines()) for _, drawn in frames)
    drawn = []
    for number, (_, shown) in enumerate(frames):
        console = _console(shown)
        for _ in range(height - len(console.export_text(clear=False).splitlines())):
            console.print()
        drawn.append(console.export_svg(title="millpond", theme=MONOKAI, unique_id=f"f{number}"))
    whole = sum(lasts for lasts, _ in frames)
    style, groups, begin = [], [], 0.0
    for number, (lasts, _) in enumerate(frames):
        first, last = 100 * begin / whole, 100 * (begin + lasts) / whole
        begin += lasts
        style.append(
            f"@keyframes k{number}{{0%{{opacity:0}}{first:.3f}%{{opacity:1}}"
            f"{last:.3f}%{{opacity:0}}100%{{opacity:0}}}}"
            f".k{number}{{opacity:0;animation:k{number} {whole:.2f}s step-end infinite}}"
        )
        inner = re.sub(r"^.*?<svg[^>]*>|</svg>\s*$", "", drawn[number], flags=re.DOTALL)
        # A picture fetches nothing: the reader's own monospaced font will do.
        inner = re.sub(r"<!--.*?-->|@font-face \{.*?\}", "", inner, flags=re.DOTALL)
        # No line is longer than the terminal is wide, so none has to be cut.
        inner = re.sub(
            r'<clipPath id="f\d+-line-\d+">.*?</clipPath>\s*| clip-path="url\(#f\d+-line-\d+\)"',
            "",
            inner,
            flags=re.DOTALL,
        )
        groups.append(f'<g class="k{number}">{inner}</g>')
    # Who wants no motion sees how it ends.
    still = "".join(f".k{number}{{animation:none}}" for number in range(len(frames)))
    style.append(f"@media (prefers-reduced-motion:reduce){{{still}.k{len(frames) - 1}{{opacity:1}}}}")
    box = re.search(r'viewBox="([^"]+)"', drawn[0])
    assert box is not None
    return (
        f'<svg class="rich-terminal" viewBox="{box[1]}" xmlns="http://www.w3.org/2000/svg">'
        f"<style>{''.join(style)}</style>{''.join(groups)}</svg>\n"
    )


def _console(shown: RenderableType) -> Console:
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, highlight=False)
    console.print(shown)
    return console


def main() -> None:
    """Record, and write the picture."""
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    os.environ["FORCE_COLOR"] = "1"
    folder = Path(sys.argv[1]).resolve()
    frames = film_up(folder)
    if len(sys.argv) == 4:
        frames += film_run(folder, str(Path(sys.argv[3]).resolve()))
    Path(sys.argv[2]).write_text(picture(frames))


if __name__ == "__main__":
    main()
