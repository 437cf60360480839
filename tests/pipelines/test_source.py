"""The digest of a step follows the code that it reaches, and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from millpond.pipelines.bundle import IGNORE, pack
from millpond.pipelines.scope import free_names
from millpond.pipelines.source import Sources

STEPS = '''
"""Steps."""
import pandas as pd
from shared import scale
from pack.inner import deep
import whole

LIMIT = 3

def load():
    """Doc."""
    return LIMIT

def train(x):
    return scale(x) + _own(x)

def _own(x):
    return x

def far():
    return deep()

def all_of_it():
    return whole.a()

def dynamic():
    return globals()["load"]
'''
SHARED = "def scale(x):\n    return x * FACTOR\n\nFACTOR = 2\n\ndef other():\n    return 1\n"
FILES = {
    "steps.py": STEPS,
    "shared.py": SHARED,
    "pack/__init__.py": "",
    "pack/inner.py": "from . import deeper\n\ndef deep():\n    return deeper.x\n",
    "pack/deeper.py": "x = 1\n",
    "whole.py": "def a(): return 1\ndef b(): return 2\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def digest(folder: Path, function: str) -> str:
    return Sources(folder).reach("steps", function).digest


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("steps.py", "LIMIT = 3", "LIMIT = 4", {"load", "dynamic"}),
        ("steps.py", "return LIMIT", "# why\n    return LIMIT", set()),
        ("steps.py", "def _own(x):\n    return x", "def _own(x):\n    return -x", {"train", "dynamic"}),
        (
            "steps.py",
            "LIMIT = 3",
            "LIMIT = 3\nprint('imported')",
            {"load", "train", "far", "all_of_it", "dynamic"},
        ),
        ("shared.py", "FACTOR = 2", "FACTOR = 3", {"train", "dynamic"}),
        ("shared.py", "return 1", "return 2", set()),
        ("pack/deeper.py", "x = 1", "x = 2", {"far", "dynamic"}),
        ("whole.py", "return 2", "return 3", {"all_of_it", "dynamic"}),
    ],
)
def test_only_what_a_function_reaches_counts(
    folder: Path, file: str, old: str, new: str, changed: set[str]
) -> None:
    names = ["load", "train", "far", "all_of_it", "dynamic"]
    before = {name: digest(folder, name) for name in names}
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    assert {name for name in names if digest(folder, name) != before[name]} == changed


@pytest.mark.parametrize(
    ("code", "free"),
    [
        ("def f(total): return total", set()),
        ("def f(x): return total(x)", {"total"}),
        ("def f(x=total): return x", {"total"}),
        ("def f(x: total): return x", {"total"}),
        ("@total\ndef f(): ...", {"total"}),
        ("def f():\n total = 1\n return total", set()),
        ("def f():\n global total\n total = 1", {"total"}),
        ("def f(): return [total for total in other]", {"other"}),
        ("def f(): return [total for total in total]", {"total"}),
        ("def f(): return lambda total: total + own", {"own"}),
        ("def f():\n def total(): return own\n return total()", {"own"}),
        ("class A(Base):\n x = total", {"Base", "total", "x"}),
        ("def f():\n import total\n return total.x", set()),
        ("def f():\n try: g()\n except E as total: print(total)", {"g", "E", "print"}),
    ],
)
def test_a_local_name_hides_the_modules(code: str, free: set[str]) -> None:
    assert set(free_names(ast.parse(code).body[0])) == free


def test_the_bundle_is_the_same_for_the_same_files(folder: Path) -> None:
    before = pack(folder)
    (folder / ".hidden").write_text("x")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/steps.pyc").write_bytes(b"x")
    (folder / IGNORE).write_text("*.csv\n")
    (folder / "big.csv").write_text("a;b")
    assert pack(folder) == before
    (folder / "query.sql").write_text("select 1")
    assert pack(folder)[1] != before[1]
