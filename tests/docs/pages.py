"""The project's pages, taken apart: text, headings, links, code blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.M | re.S)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A code block: its language, the words after that, and its text."""

    language: str
    words: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        """The path from the project's folder."""
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """The text without its code blocks."""
        return _FENCE.sub("", self.text)

    @cached_property
    def blocks(self) -> list[Block]:
        """The code blocks, in order."""
        found = []
        for match in _FENCE.finditer(self.text):
            language, *words = match["info"].split() or [""]
            found.append(Block(language, tuple(words), match["text"]))
        return found

    def blocks_of(self, language: str, *words: str) -> list[Block]:
        """The blocks of a language with exactly these words after it."""
        return [block for block in self.blocks if (block.language, block.words) == (language, words)]

    def file(self, name: str) -> str:
        """The text of the block that is a file of that name."""
        return next(block.text for block in self.blocks if block.words == (name,))

    @cached_property
    def links(self) -> list[str]:
        """The targets of all links and pictures."""
        return _LINK.findall(self.prose)

    @cached_property
    def anchors(self) -> set[str]:
        """The anchors that a forge gives the headings."""
        return {anchor(line.lstrip("#").strip()) for line in self.prose.splitlines() if line.startswith("#")}

    def section(self, heading: str) -> str:
        """The text under a heading, up to the next of its level or above."""
        level = heading.split(" ")[0]
        start = re.search(rf"^{re.escape(heading)}$", self.text, re.M)
        assert start, f"{self.name} has no heading {heading}"
        rest = self.text[start.end() :]
        end = re.search(rf"^#{{1,{len(level)}}} ", rest, re.M)
        return rest[: end.start()] if end else rest


def anchor(heading: str) -> str:
    """A heading's anchor: lower case, letters, digits, blanks as hyphens."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    return "".join(char for char in plain if char.isalnum() or char in " -_").replace(" ", "-")


def page(name: str) -> Page:
    """The page at a path from the project's folder."""
    return Page(ROOT / name)


PAGES = [
    Page(path)
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
]
BY_NAME = {found.name: found for found in PAGES}
