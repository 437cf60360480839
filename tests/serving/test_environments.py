"""A model runs in what it names: the shared environment if that has it, else its own, made once for all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from millpond.model.errors import MillpondError
from millpond.serving.controller.requirements import Requirements, normal, read
from model_servers import ModelServer, service_environment

DESCRIBE = Path(__file__).parent / "describe_environment.py"
OTHER = "1.7.2"
"""A version of scikit-learn that the shared environment does not have."""
TELLS_ITS_VERSION = """
import sklearn


class Version:
    def predict(self, data):
        return [sklearn.__version__] * len(data)
"""
Describe = Callable[..., dict[str, Any]]


def folder_of(parent: Path, name: str, **files: str) -> Path:
    folder = parent / name
    folder.mkdir()
    for file, text in files.items():
        (folder / file.replace("__", ".")).write_text(text)
    return folder


def test_what_a_model_names(tmp_path: Path) -> None:
    text = "# made by MLflow\nscikit-learn==1.7.2  # exactly\nnumpy \\\n  <3\n\n-c constraints.txt\n"
    plain = folder_of(tmp_path, "plain", requirements__txt=text, python_env__yaml="python: 3.10.4\n")
    found = read(plain)
    assert found.lines == ("scikit-learn==1.7.2", "numpy <3", "-c constraints.txt")
    assert (found.source, found.python) == ("requirements.txt", "3.10.4")
    assert found.names == {"scikit-learn", "numpy"}

    conda = "dependencies:\n- python=3.12.1\n- pip<=24\n- libgomp=13\n- pip:\n  - Scikit_Learn\nname: x\n"
    found = read(folder_of(tmp_path, "conda", conda__yaml=conda))
    assert (found.lines, found.source, found.python) == (("Scikit_Learn",), "conda.yaml", "3.12.1")
    assert found.names == {normal("scikit-learn")}

    tools = "python: 3.11\nbuild_dependencies: [pip, setuptools, wheel]\n"
    assert read(folder_of(tmp_path, "tools", python_env__yaml=tools)).tools == ()
    both = folder_of(tmp_path, "both", python_env__yaml=tools, requirements__txt="mlflow==2.14.3\n")
    assert read(both).tools == ("setuptools<82",), "it needs pkg_resources"

    assert read(folder_of(tmp_path, "nothing")) == Requirements()
    with pytest.raises(MillpondError, match=r"conda.yaml of the model cannot be read"):
        read(folder_of(tmp_path, "broken", conda__yaml="a: [\n"))


LACKS: dict[str, str | None] = {
    "pytest": None,
    "pytest>=1,!=2": None,
    "PyTest": None,
    "pytest[dev]": "argcomplete",
    "pytest==0.1": "pytest==0.1 (here it is ",
    "nosuchpackage>1": "nosuchpackage>1 (there is none here)",
    "nosuchpackage; python_version < '3'": None,
    "pytest @ file:///tmp/pytest.whl": "pytest @ file",
    "--pre": "--pre",
    "-c nowhere.txt": "-c nowhere.txt",
    "-c constraints.txt": "pytest<1 (here it is ",
}


def test_whether_an_environment_has_it(tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text("pytest<1\nnosuchpackage<5\n")
    # In a process of its own, as it would be for its user.
    script = (
        "import json, pathlib, sys; from millpond.serving.controller.requirements import *;"
        "lines = [Requirements((line,)) for line in json.loads(sys.argv[1])];"
        "print(json.dumps([missing(line, pathlib.Path()) for line in lines]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(list(LACKS))],
        env=service_environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    for line, found in zip(LACKS, json.loads(done.stdout), strict=True):
        wanted = LACKS[line]
        assert found is None if wanted is None else str(found).startswith(wanted), (line, found)


def test_another_python_is_a_sentence() -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert Requirements(python=f"{here}.99").other_python() is None
    assert (
        Requirements(python="3.8.1").other_python()
        == f"the model was made with Python 3.8.1 and runs on {here}"
    )


@pytest.fixture
def describe(science_python: Path, tmp_path: Path) -> Describe:
    def ask(folder: Path, model_format: str = "python", **environment: str) -> dict[str, Any]:
        done = subprocess.run(
            [str(science_python), str(DESCRIBE), str(folder), model_format, str(tmp_path / "data")],
            env={**service_environment(), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    return ask


@pytest.mark.slow
def test_the_shared_environment_where_it_has_everything(
    describe: Describe, science_python: Path, tmp_path: Path, models: Path
) -> None:
    for folder, model_format in (
        (models / "iris", "mlflow"),
        (folder_of(tmp_path, "nothing"), "sklearn"),
        (folder_of(tmp_path, "named", requirements__txt="lightgbm\nnumpy>=1\n"), "lightgbm"),
        (folder_of(tmp_path, "exported", model__onnx=""), "pytorch"),
    ):
        found = describe(folder, model_format)
        assert (found["key"], found["said"]) == ("shared", []), found
        assert Path(found["python"]) == science_python
    old = folder_of(tmp_path, "old", python_env__yaml="python: 3.8.1\n")
    assert "the model was made with Python 3.8.1" in describe(old, "sklearn")["reason"], (
        "told, and no failure"
    )


@pytest.mark.slow
def test_a_model_runs_on_the_version_that_it_names(describe: Describe, tmp_path: Path) -> None:
    one = folder_of(
        tmp_path, "one", requirements__txt=f"scikit-learn=={OTHER}\n", model__py=TELLS_ITS_VERSION
    )
    found = describe(one)
    assert f"does not have scikit-learn=={OTHER} (here it is " in found["reason"]
    assert found["said"], "what takes long is told"

    server = ModelServer(Path(found["python"]), one, "m", tmp_path / "log", "--format", "python")
    server.start()
    try:
        server.wait_ready()
        answer = server.predict({"instances": [[1.0], [2.0]]})
        assert answer.json == {"predictions": [OTHER, OTHER]}
    finally:
        server.stop()

    two = folder_of(tmp_path, "two", requirements__txt=f"# the same\nscikit-learn == {OTHER}\nnumpy\n")
    shared = describe(two)
    assert shared["key"] == found["key"], "one install for both"
    assert len(list((tmp_path / "data/environments").iterdir())) == 2
    # Nowhere to ask: the lock and the install are enough.
    offline = describe(one, UV_DEFAULT_INDEX="http://127.0.0.1:9/simple", UV_OFFLINE="1")
    assert (offline["key"], offline["said"]) == (found["key"], [])


@pytest.mark.slow
def test_an_environment_that_cannot_be_had(describe: Describe, tmp_path: Path) -> None:
    nowhere = folder_of(tmp_path, "nowhere", requirements__txt="scikit-learn==99.1\n")
    found = describe(nowhere)
    assert found["error"].startswith("model nowhere: Because there is no version of scikit-learn==99.1")
    old = folder_of(
        tmp_path, "old", requirements__txt="scikit-learn==99.1\n", python_env__yaml="python: 3.8\n"
    )
    assert "the model was made with Python 3.8" in describe(old)["hint"]
    linked = folder_of(tmp_path, "linked", requirements__txt="git+https://example.org/x.git\n")
    assert "names what is in no package index" in describe(linked)["error"]
    torch = describe(folder_of(tmp_path, "torch", model__pt=""), "pytorch")
    assert torch["error"] == "model torch: Millpond ships no environment with torch"
    assert "export the model to ONNX" in torch["hint"]
    assert not list((tmp_path / "data").glob("environments/*.lock"))


@pytest.mark.slow
@pytest.mark.parametrize("model_format", ["xgboost", "keras"])
def test_what_the_shared_environment_lacks_is_shipped(
    describe: Describe, tmp_path: Path, model_format: str
) -> None:
    found = describe(folder_of(tmp_path, "model"), model_format)
    assert found["reason"] == f"the one that Millpond ships for {model_format}"
    done = subprocess.run(
        [found["python"], "-c", f"import {model_format}, millpond.serving.server.app"],
        env={**service_environment(), **found["env"], "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
