"""A model of every format in the environment that it gets, served by a process: its framework's answers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import millpond.catalogue
from millpond.serving import inferenceservice
from millpond.targets.local.installs import InstallRequest, InstallStore
from model_servers import ModelServer, service_environment

pytestmark = pytest.mark.slow

MAKE = Path(__file__).parent / "make_formats.py"
SHIPPED = Path(millpond.catalogue.__file__).parent / "environments"
NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
Serve = Callable[..., ModelServer]


@pytest.fixture(scope="module")
def python_for(science_python: Path) -> Callable[[str], Path]:
    """The interpreter that a format's models run on: what Millpond ships for it, else the shared one."""

    def found(model_format: str) -> Path:
        if not (SHIPPED / model_format / "requirements.lock").is_file():
            return science_python
        request = InstallRequest(model_format, SHIPPED / model_format, {"pip": "requirements.lock"})
        return asyncio.run(InstallStore().ensure(request)).paths["pip"] / "bin/python"

    return found


@pytest.fixture
def serve(python_for: Callable[[str], Path], tmp_path: Path) -> Iterator[Serve]:
    """Starts a server for a folder; all are stopped afterwards."""
    servers: list[ModelServer] = []

    def start(model_format: str, folder: Path, *options: str, ready: bool = True) -> ModelServer:
        python = python_for(model_format)
        log = tmp_path / f"{folder.name}.log"
        server = ModelServer(python, folder, "m", log, "--format", model_format, *options)
        servers.append(server)
        server.start()
        if ready:
            server.wait_ready()
        return server

    yield start
    for server in servers:
        server.stop()


def made(python: Path, kind: str, folder: Path) -> dict[str, Any]:
    """A model of a kind in a folder, and what is expected of it."""
    command = [str(python), str(MAKE), kind, str(folder)]
    done = subprocess.run(command, env=service_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(folder.with_suffix(".json").read_text()))


def flat(values: Any) -> list[float]:
    return [each for value in values for each in flat(value)] if isinstance(values, list) else [values]


def tensor(rows: list[list[float]], name: str = "X") -> dict[str, Any]:
    return {"name": name, "shape": [len(rows), 4], "datatype": "FP32", "data": flat(rows)}


@pytest.mark.parametrize(
    ("kind", "model_format"),
    [
        ("sklearn", "sklearn"),
        ("pickled", "sklearn"),
        ("skops", "sklearn"),
        ("xgboost", "xgboost"),
        ("xgboost_named", "xgboost"),
        ("lightgbm", "lightgbm"),
        ("onnx", "onnx"),
        ("onnx", "pytorch"),
        ("keras", "keras"),
        ("python", "python"),
    ],
)
def test_the_frameworks_own_answers(
    serve: Serve, python_for: Callable[[str], Path], tmp_path: Path, kind: str, model_format: str
) -> None:
    folder = tmp_path / "model"
    expected = made(python_for(model_format), kind, folder)
    server = serve(model_format, folder)
    rows = expected["rows"]

    answer = server.infer(tensor(rows))
    assert answer.status == 200, answer.body
    outputs = {output["name"]: output["data"] for output in answer.json["outputs"]}
    assert len(outputs) == len(expected["outputs"])
    for name, values in expected["outputs"].items():
        found = outputs[name] if name else next(iter(outputs.values()))
        assert found == pytest.approx(flat(values), rel=1e-6), "not what the framework predicts"

    if len(expected["outputs"]) == 1:
        [wanted] = expected["outputs"].values()
        rounded = server.predict({"instances": rows})
        assert rounded.status == 200, rounded.body
        assert flat(rounded.json["predictions"]) == pytest.approx(flat(wanted), rel=1e-6)
        single = server.predict({"instances": rows[:1]}).json["predictions"]
        assert flat(single) == pytest.approx(flat(wanted)[: len(flat(single))], rel=1e-5)
    wrong = server.infer({"name": "X", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]})
    assert wrong.status == (200 if kind == "python" else 400), "a wrong width is the client's mistake"
    assert server.ask("/v2/models/m").json["platform"] == model_format


def test_keras_compiles_for_few_numbers_of_rows(
    serve: Serve, python_for: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JAX alone compiles for each number of rows, which takes as long as hundreds of requests."""
    folder = tmp_path / "model"
    [row, *_] = made(python_for("keras"), "keras", folder)["rows"]
    monkeypatch.setenv("JAX_LOG_COMPILES", "1")
    server = serve("keras", folder, "--batch", "off")

    def compiled_for(rows: int) -> int:
        before = server.log.read_text().count("XLA compilation")
        answer = server.infer({**tensor([row] * rows), "shape": [rows, 4]})
        assert len(answer.json["outputs"][0]["data"]) == 2 * rows
        return server.log.read_text().count("XLA compilation") - before

    assert compiled_for(64) > 0
    assert [compiled_for(rows) for rows in (33, 40, 63)] == [0, 0, 0]
    assert compiled_for(1) == 0, "that was done before the first request"


@pytest.mark.parametrize(
    ("kind", "model_format"), [("pickled", "sklearn"), ("xgboost_named", "xgboost"), ("lightgbm", "lightgbm")]
)
def test_columns_go_by_their_names(
    serve: Serve, python_for: Callable[[str], Path], tmp_path: Path, kind: str, model_format: str
) -> None:
    folder = tmp_path / "model"
    expected = made(python_for(model_format), kind, folder)
    server = serve(model_format, folder)
    rows = [dict(zip(NAMES, row, strict=True)) for row in expected["rows"]]
    backwards = [dict(reversed(row.items())) for row in rows]
    for instances in (rows, backwards):
        answer = server.predict({"instances": instances})
        assert answer.status == 200, answer.body
        assert flat(answer.json["predictions"]) == pytest.approx(flat(expected["outputs"][""]), rel=1e-6)
    missing = server.predict({"instances": [dict.fromkeys(NAMES[:3], 1.0)]})
    assert (missing.status, "petal_width" in missing.error) == (400, True)
    unknown = server.predict({"instances": [{**rows[0], "petal_widht": 1.0}]})
    assert (unknown.status, "petal_widht" in unknown.error) == (400, True)


@pytest.mark.parametrize(
    ("model_format", "files", "said"),
    [
        ("sklearn", {"x.txt": ""}, "there is no scikit-learn model in its folder, which has x.txt"),
        ("sklearn", {"a.pkl": "", "b.pkl": ""}, "several files that could be the scikit-learn model: a.pkl"),
        ("sklearn", {"model.pkl": "no pickle"}, "cannot be loaded: "),
        ("onnx", {"model.onnx": "no graph"}, "cannot be loaded: "),
        ("mlflow", {"model.onnx": ""}, "is no MLflow model folder"),
        ("pytorch", {"model.pt": ""}, "the model's environment has no torch"),
        ("python", {"model.py": "class A:\n    pass\n"}, "has no class with a method predict"),
        ("python", {"model.py": "import nosuch\n"}, "the model's environment has no nosuch"),
        (
            "python",
            {"model.py": "class A:\n predict = print\n def load(self): raise ValueError('no weights')"},
            "cannot be made ready: ValueError: no weights",
        ),
    ],
)
def test_what_cannot_be_loaded_is_said_in_one_line(
    serve: Serve, tmp_path: Path, model_format: str, files: dict[str, str], said: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    server = serve(model_format, folder, ready=False)
    assert server.process is not None and server.process.wait(60) == 1
    [line] = [line for line in server.log.read_text().splitlines() if " ERROR " in line]
    assert said in line


TRANSFORMER = '''
class Cleaner:
    """Turns words into a model's input, and its numbers into words."""

    def load(self, folder):
        self.words = (folder / "words.txt").read_text().split()

    async def preprocess(self, body, headers):
        if "fail" in body:
            raise ValueError("told to fail")
        if "words" not in body:
            return body
        rows = [[self.words.index(word)] * 4 for word in body["words"]]
        return {"instances": rows, "inputs": None} if "inputs" in body else {"instances": rows}

    def postprocess(self, answer, headers):
        if "predictions" in answer:
            answer["predictions"] = [f"{value:g} {headers.get('x-unit')}" for value in answer["predictions"]]
        if "outputs" in answer:
            for output in answer["outputs"]:
                output["data"] = [value + 1000 for value in output["data"]]
        return answer


def double(body):
    return {"instances": [[2 * value for value in row] for row in body["instances"]]}


def nonsense(body):
    return 5


class Why:
    """Says what each column adds, by asking without it."""

    def explain(self, body, headers, predict):
        rows = body["instances"]
        whole = predict(body)["predictions"]
        found = []
        for column in range(4):
            without = [[0 if index == column else value for index, value in enumerate(row)] for row in rows]
            part = predict({"instances": without})["predictions"]
            found.append([a - b for a, b in zip(whole, part)])
        return {"explanations": found}
'''


@pytest.fixture
def folder(python_for: Callable[[str], Path], tmp_path: Path) -> Path:
    """The python model, which sums a row times 2.5 and adds 1, with extensions beside it."""
    folder = tmp_path / "model"
    made(python_for("python"), "python", folder)
    (folder / "around.py").write_text(TRANSFORMER)
    (folder / "words.txt").write_text("zero one two")
    os.rename(folder / "model.py", folder / "scaled.py")
    (folder / "model.py").write_text("from scaled import Scaled as Base\n\n\nclass Scaled(Base):\n    pass\n")
    return folder


def test_a_transformer_is_around_every_prediction(serve: Serve, folder: Path) -> None:
    server = serve("python", folder, "--transformer", "around.py:Cleaner")
    path = "/v1/models/m:predict"
    answer = server.ask(path, {"words": ["one", "two"]}, headers={"x-unit": "mm"})
    assert answer.json == {"predictions": ["11 mm", "21 mm"]}
    failed = server.ask(path, {"fail": True})
    assert (failed.status, failed.error) == (500, "preprocess failed: ValueError: told to fail")
    assert "Traceback" in server.log.read_text()
    assert server.ask(path, {"words": ["three"]}).status == 500
    assert server.infer(tensor([[1.0] * 4])).json["outputs"][0]["data"] == [1011.0]

    data = b"\0\0\x80\x3f" * 4
    head = {"name": "X", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}}
    body = json.dumps({"inputs": [head], "parameters": {"binary_data_output": True}}).encode()
    sent = server.ask(
        "/v2/models/m/infer", body + data, headers={"inference-header-content-length": str(len(body))}
    )
    assert sent.status == 200, sent.body
    length = int(sent.headers["inference-header-content-length"])
    assert sent.body[length:] == struct.pack("<f", 1011), "as binary as it was asked for"
    head |= {"datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5}}
    body = json.dumps({"inputs": [head]}).encode()
    headers = {"inference-header-content-length": str(len(body))}
    odd = server.ask("/v2/models/m/infer", body + b"\1\0\0\0\xff", headers=headers)
    assert "model m failed: AxisError" in odd.error, "bytes that are no text reach the model all the same"
    assert server.ask("/v2/health/live").status == 200


def test_a_function_is_enough_for_a_transformer(serve: Serve, folder: Path) -> None:
    server = serve("python", folder, "--transformer", "around:double")
    assert server.predict({"instances": [[1, 1, 1, 1]]}).json == {"predictions": [21.0]}
    assert server.predict({"instances": 3}).status == 500
    missing = server.ask("/v1/models/m:explain", {"instances": [[1, 1, 1, 1]]})
    assert (missing.status, missing.error) == (404, "model m has no explainer")


def test_what_a_transformer_gives_is_checked(serve: Serve, folder: Path) -> None:
    server = serve("python", folder, "--transformer", "around.py:nonsense")
    answer = server.predict({"instances": [[1, 1, 1, 1]]})
    assert (answer.status, answer.error) == (500, "preprocess failed: it gave a int, not an object")


def test_an_explainer_answers_beside_the_model(serve: Serve, folder: Path) -> None:
    server = serve("python", folder, "--explainer", "around.py:Why", "--transformer", "around.py:double")
    body = {"instances": [[1, 2, 0, 0]]}
    answer = server.ask("/v1/models/m:explain", body)
    assert answer.json == {"explanations": [[5.0], [10.0], [0.0], [0.0]]}, "of what preprocess gave"
    wrong = server.ask("/v1/models/m:explain", {"instances": [["a"]]})
    assert wrong.status in (400, 500)
    assert server.predict(body).json == {"predictions": [16.0]}
    assert server.ask("/v1/models/m:explain").status == 405
    assert "/v1/models/m:explain" in server.ask("/openapi.json").json["paths"]


def test_the_pages_own_example(serve: Serve, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/concepts/models.md").read_text()
    blocks = dict(re.findall(r"^```(?:python|yaml) (\S+)\n(.*?)^```$", page, re.M | re.S))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "factor.txt").write_text("2")
    for name in ("model.py", "around.py"):
        (folder / name).write_text(blocks[name])
    spec = inferenceservice.read(blocks["flights.yaml"], "flights.yaml").spec
    assert spec.transformer is not None and spec.explainer is not None
    around = ["--transformer", spec.transformer.target, "--explainer", spec.explainer.target]
    server = serve("python", folder, *around)
    body = {"flights": [{"distance": 10, "delay": None}, {"distance": 10, "delay": 5}]}
    assert server.predict(body).json == {"minutes": [20.0, 30.0]}
    assert server.ask("/v1/models/m:explain", body).json == {"of the delay": [0.0, 10.0]}


@pytest.mark.parametrize(
    ("option", "reference", "said"),
    [
        (
            "--transformer",
            "arund.py:Cleaner",
            "there is no file arund.py in the model's folder (did you mean",
        ),
        ("--transformer", "around.py:Claener", "there is no Claener (did you mean"),
        ("--explainer", "nosuchmodule:X", "cannot be imported: ModuleNotFoundError"),
        ("--explainer", "around.py:Cleaner", "without explain"),
    ],
)
def test_an_extension_that_is_not_there_ends_the_revision(
    serve: Serve, folder: Path, option: str, reference: str, said: str
) -> None:
    server = serve("python", folder, option, reference, ready=False)
    assert server.process is not None and server.process.wait(60) == 1
    [line] = [line for line in server.log.read_text().splitlines() if " ERROR " in line]
    assert said in line, line
