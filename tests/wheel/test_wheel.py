"""The wheel holds all that the checkout does for a user: components, locks, flavours and demos."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_every_data_file_of_the_package_is_in_it(names: set[str]) -> None:
    package = ROOT / "src/millpond"
    wanted = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= names


@pytest.mark.parametrize("demo", ["credit", "flights", "waiting-times"])
def test_the_demos_are_in_it(names: set[str], demo: str) -> None:
    example = ROOT / "examples" / demo
    wanted = {f"millpond/demos/{demo}/{path.name}" for path in example.iterdir() if path.is_file()}
    assert f"millpond/demos/{demo}/pipeline.yaml" in wanted
    assert wanted <= names


def test_nothing_else_is_in_it(names: set[str]) -> None:
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"millpond"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
