"""Models of other formats than MLflow's through the controller: fetched, furnished, served, brought back."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving_platform import ServingPlatform, document

from millpond.serving.client import ServingError
from model_servers import ask, service_environment

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
OTHER = "1.7.2"
MODEL = """
import sklearn


class Version:
    def predict(self, data):
        return [f"{sklearn.__version__} {row[0]:g}" for row in data]


class Around:
    async def preprocess(self, body, headers):
        return {"instances": [[value] for value in body["values"]]}

    def postprocess(self, answer, headers):
        return {"said": answer["predictions"]} if "predictions" in answer else answer


class Why:
    def explain(self, body, headers, predict):
        return {"because": predict(body)["predictions"]}
"""


@pytest.fixture
def platform(science_python: Path, tmp_path: Path) -> Iterator[ServingPlatform]:
    (tmp_path / "platform").mkdir()
    environment = {"MILLPOND_LAKE_ROOT": str(tmp_path / "lake")}
    if "MILLPOND_CACHE_DIR" in os.environ:
        environment["MILLPOND_CACHE_DIR"] = os.environ["MILLPOND_CACHE_DIR"]
    found = ServingPlatform(science_python, tmp_path / "platform", environment)
    try:
        found.up()
        yield found
    finally:
        found.down()


def wanted(name: str, uri: str, model_format: str, **extensions: str) -> dict[str, Any]:
    found = document(name, uri)
    found["spec"]["predictor"]["model"]["modelFormat"] = {"name": model_format}
    for part, reference in extensions.items():
        found["spec"][part] = {"containers": [{"name": "kserve-container", "args": [reference]}]}
    return found


def asked(platform: ServingPlatform, name: str, body: Any, verb: str) -> Any:
    [revision] = [each for each in platform.client.get(name)["status"]["revisions"] if each["traffic"]]
    return ask(revision["port"], f"/v1/models/{name}:{verb}", body).json


def test_a_model_with_an_environment_and_python_of_its_own(platform: ServingPlatform, tmp_path: Path) -> None:
    folder = tmp_path / "lake/models/version"
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(MODEL)
    (folder / "around.py").write_text(MODEL)
    (folder / "requirements.txt").write_text(f"scikit-learn=={OTHER}\n")
    extensions = {"transformer": "around.py:Around", "explainer": "around.py:Why"}
    service = wanted("version", "s3://models/version", "python", **extensions)
    found = platform.client.apply(service, wait=300)
    [revision] = found["status"]["revisions"]
    assert f"does not have scikit-learn=={OTHER}" in revision["environment"]
    answer = {"said": [f"{OTHER} 1", f"{OTHER} 2"]}
    assert asked(platform, "version", {"values": [1, 2]}, "predict") == answer
    assert asked(platform, "version", {"values": [3]}, "explain") == {"because": [f"{OTHER} 3"]}

    (folder / "requirements.txt").write_text("scikit-learn==99.1\n")
    with pytest.raises(ServingError, match=r"there is no version of scikit-learn==99.1"):
        platform.client.apply(service, wait=120)
    assert asked(platform, "version", {"values": [1, 2]}, "predict") == answer, "the old revision serves"

    # Neither the lake nor a package index is needed to come back.
    platform.down()
    (tmp_path / "lake").rename(tmp_path / "gone")
    platform.environment |= {"UV_OFFLINE": "1", "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple"}
    platform.up()
    platform.wait_ready("version")
    assert asked(platform, "version", {"values": [1, 2]}, "predict") == answer


def test_a_booster_from_the_lake(platform: ServingPlatform, science_python: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lake/models/trees"
    folder.parent.mkdir(parents=True)
    command = [str(science_python), str(HERE / "make_formats.py"), "lightgbm", str(folder)]
    subprocess.run(command, check=True, env=service_environment(), capture_output=True)
    expected = json.loads(folder.with_suffix(".json").read_text())
    platform.client.apply(wanted("trees", "s3://models/trees/model.txt", "lightgbm"), wait=120)
    answer = asked(platform, "trees", {"instances": expected["rows"]}, "predict")
    assert answer["predictions"] == pytest.approx(expected["outputs"][""])
    with pytest.raises(ServingError, match=r"there is no ONNX model in its folder, which has model.txt"):
        platform.client.apply(wanted("trees", "s3://models/trees", "onnx"), wait=120)
    with pytest.raises(ServingError, match="there is nothing at s3://models/nowhere"):
        platform.client.apply(wanted("trees", "s3://models/nowhere", "lightgbm"), wait=120)
    assert asked(platform, "trees", {"instances": expected["rows"]}, "predict") == answer
