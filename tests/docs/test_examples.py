"""What the pages show as files is read by the loaders, and the worked examples run."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from docs.pages import PAGES, ROOT, page
from millpond.catalogue import Catalogue
from millpond.catalogue.loader import read_component
from millpond.flavours.loader import read
from millpond.pipelines import extension
from millpond.pipelines.document import read_pipeline
from millpond.pipelines.launch import Launch
from millpond.pipelines.record import Runs
from starter import Starter

GUIDE = "docs/guides/add-a-component.md"


def shown(language: str, *words: str) -> list[Any]:
    """All blocks of a kind, each with its page."""
    return [
        pytest.param(found.name, block.text, id=f"{found.name}-{number}")
        for found in PAGES
        for number, block in enumerate(found.blocks_of(language, *words), 1)
    ]


@pytest.mark.parametrize(("name", "text"), shown("yaml", "flavour"))
def test_a_flavour_resolves(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "millpond.yaml").write_text(text)
    source = read(tmp_path / "millpond.yaml")
    assert source.resolve(source.catalogue()).nodes


@pytest.mark.parametrize(("name", "text"), shown("yaml", "pipeline"))
def test_a_pipeline_is_right(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(text)
    for block in page(name).blocks:
        if block.words and block.words[0].endswith(".py"):
            (tmp_path / block.words[0]).write_text(block.text)
    assert read_pipeline(tmp_path, strict=True).steps


@pytest.mark.parametrize(
    ("name", "text"), [*shown("python"), *shown("python", "steps.py"), *shown("python", "shouting.py")]
)
def test_python_parses(name: str, text: str) -> None:
    compile(text, name, "exec")


def pages_project(folder: Path) -> Path:
    """The project of the guide on components, as its reader has it."""
    component = folder / "components" / "pages"
    component.mkdir(parents=True)
    guide = page(GUIDE)
    (component / "component.yaml").write_text(guide.file("component"))
    (component / "prepare.sh").write_text(guide.file("prepare.sh"))
    (folder / "millpond.yaml").write_text(guide.file("flavour-with-pages"))
    return folder


@pytest.mark.parametrize(("name", "text"), shown("yaml", "component-part"))
def test_a_part_of_a_component_is_right(name: str, text: str, tmp_path: Path) -> None:
    import yaml

    folder = pages_project(tmp_path) / "components" / "pages"
    whole = yaml.safe_load((folder / "component.yaml").read_text())
    part = yaml.safe_load(text)
    whole["service"].update(part.pop("service", {}))
    (folder / "component.yaml").write_text(yaml.safe_dump({**whole, **part}))
    assert read_component(folder, Catalogue().interfaces)


def test_the_step_kind_of_the_guide_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shouting.py").write_text(page("CONTRIBUTING.md").file("shouting.py"))
    monkeypatch.syspath_prepend(tmp_path)
    import shouting  # type: ignore[import-not-found]

    kind = shouting.Shout()
    assert isinstance(kind, extension.StepKind)
    assert kind.keys(word="mill").word == "mill"
    assert kind.code(kind.keys(word="mill"), tmp_path) == extension.Code("1")


@pytest.mark.slow
def test_the_component_of_the_guide_comes_up_and_follows_its_title(tmp_path: Path) -> None:
    project = Starter(pages_project(tmp_path))
    try:
        project.millpond("up")
        port = project.json("status", "--json")["components"][0]["endpoints"]["http"]
        assert urllib.request.urlopen(f"http://{port}/").read() == b"<h1>Hello</h1>\n"
        flavour = tmp_path / "millpond.yaml"
        flavour.write_text(flavour.read_text().replace("Hello", "Good day"))
        assert "title Hello → Good day" in project.millpond("plan").stdout
        project.millpond("up")
        assert urllib.request.urlopen(f"http://{port}/").read() == b"<h1>Good day</h1>\n"
    finally:
        project.millpond("destroy", "--yes")
    assert not (tmp_path / ".millpond").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_a_pipeline_of_the_guide_runs_and_is_cached(
    number: int, science_python: Path, tmp_path: Path
) -> None:
    guide = page("docs/guides/pipeline.md")
    folder = tmp_path / "pipeline"
    folder.mkdir()
    (folder / "pipeline.yaml").write_text(guide.blocks_of("yaml", "pipeline")[number].text)
    (folder / "steps.py").write_text(guide.file("steps.py"))
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "PYTHONPATH": str(ROOT / "src"),
        "MILLPOND_LAKE_ROOT": str(tmp_path / "lake"),
    }
    states = []
    for _ in range(2):
        launch = Launch(folder, {"seed": "8"} if number == 0 else {}, runs=tmp_path / "runs")
        with launch.start(science_python, environment) as running:
            events = list(running)
        record = Runs(tmp_path / "runs").find("last")
        assert record.status == "succeeded", events
        states.append({step.status for step in record.steps.values()})
    assert states == [{"done"}, {"cached"}]
