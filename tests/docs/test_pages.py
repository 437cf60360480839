"""The pages hold together: links lead somewhere, the map is the tree, the words are the project's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.pages import BY_NAME, PAGES, ROOT, Page, page
from millpond.catalogue import Catalogue

NAMES = [found.name for found in PAGES]
WRITTEN = [name for name in NAMES if not name.startswith("docs/reference/")]

FORBIDDEN = {
    "a name that the design does not use": r"\bstacks?\b|service mesh|\bflavors?\b|\bmicroservices?\b",
    "American spelling": r"\b(?:colors?|behaviors?|centers?|licenses?|catalogs?)\b",
    "American endings": r"\b(?:organ|serial|real|special)iz\w+|\banalyz\w+",
    "hype": r"\b(?:seamless\w*|blazing\w*|effortless\w*|simply|just works|powerful|cutting.edge|robust)\b",
    "who or what wrote it": r"\b(?:LLMs?|AI|ChatGPT|Claude|Copilot|language models?|as an assistant)\b",
    "the host of a registry": r"pypi\.org|npmjs|repo1?\.maven|deb\.debian|docker\.io|ghcr\.io|quay\.io",
    "a path of one machine": r"(?<![\w.])/(?:work|root|tmp|home/\w+)/",
    "an emoji": "[\U0001f300-\U0001faff\u2600-\u27bf]",
}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    found = BY_NAME[name]
    for link in found.links:
        if re.match(r"https?://", link):
            continue
        target, _, anchor = link.partition("#")
        path = (found.path.parent / target).resolve() if target else found.path
        assert path.exists(), f"{name}: {link}"
        if anchor:
            assert anchor in Page(path).anchors, f"{name}: {link}"


def test_every_page_is_in_the_index() -> None:
    index = page("docs/README.md")
    linked = {(index.path.parent / link).resolve() for link in index.links}
    assert {path.resolve() for path in ROOT.glob("docs/*/*.md")} <= linked


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("what", FORBIDDEN)
def test_words(name: str, what: str) -> None:
    text = re.sub(r"https?://\S+", "", BY_NAME[name].text)
    # The variables of terminals, keys of other people's files, and the name of a file are spelt as they are.
    text = re.sub(r"\b(?:NO|FORCE)_COLOR\b|LICENSE|`[^`\n]*`|licenses/", "", text)
    found = re.findall(FORBIDDEN[what], text, 0 if what.startswith("who") else re.I)
    assert not found, f"{name}: {what}: {found}"


def test_the_map_names_every_package() -> None:
    text = page("ARCHITECTURE.md").text
    for init in (ROOT / "src/millpond").rglob("__init__.py"):
        folder = init.parent.relative_to(ROOT).as_posix()
        assert f"`{folder}/`" in text, f"ARCHITECTURE.md does not name {folder}/"


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_named_exists(name: str) -> None:
    """A path that begins in a folder of the project, in code or in a shell example, is there."""
    found = page(name)
    folders = "src|tests|tools|docs|benchmarks|examples|requirements"
    named = re.findall(rf"`((?:{folders})/[\w./-]*)`", found.prose)
    for block in found.blocks_of("sh"):
        named += re.findall(rf"(?:^|[\s@])((?:{folders})/[\w./-]*)", block.text)
    for path in named:
        # What a reader is to name stands in capitals.
        if not re.search(r"\b[A-Z]{2,}|_[A-Z]{2,}", path):
            assert (ROOT / path).exists(), f"{name}: {path}"


def test_the_readmes_table_is_the_catalogues() -> None:
    rows = re.findall(r"^\| (\w+) \| [^|]+ \| ([\w.]+) \| (\w+) \|$", page("README.md").text, re.M)
    # Components for clusters only stand in the catalogue's reference and in the page on charts.
    every = [entry.component for entry in Catalogue()]
    found = {component.name: component for component in every if "service" in component.recipes}
    rows = [row for row in rows if row[0] != "component"]
    assert {name for name, _, _ in rows} == set(found)
    for name, version, status in rows:
        assert (version, status) == (found[name].version, found[name].status.local), name


@pytest.mark.parametrize(
    "name", [found.name for found in PAGES if any(b.words[:1] == ("excerpt",) for b in found.blocks)]
)
def test_an_excerpt_is_one(name: str) -> None:
    for block in page(name).blocks:
        if block.words[:1] == ("excerpt",):
            source = (ROOT / block.words[1]).read_text(encoding="utf-8")
            assert block.text in source, f"{name}: not in {block.words[1]}"


def test_the_version_has_an_entry_in_the_changelog() -> None:
    import millpond

    assert f"## {millpond.__version__}" in page("CHANGELOG.md").text


def test_code_says_nothing_of_one_machine() -> None:
    """What the pages must not say, the tools that write them must not either."""
    for path in [*Path(ROOT / "tools").rglob("*.py"), ROOT / "bootstrap", ROOT / "run.sh"]:
        assert not re.search(r"/(?:work|root)/", path.read_text(encoding="utf-8")), path
