"""Models brought here from everywhere that a storageUri can name, whole or not at all."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from millpond.serving.controller.artifacts import Artifact, ArtifactStore, FetchError
from model_servers import service_environment


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lake that is a folder, with a model in a folder and one as a single file."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "lake"
    monkeypatch.setenv("MILLPOND_LAKE_ROOT", str(root))
    for key, content in {
        "iris/model.joblib": "a",
        "iris/extra/words.txt": "b",
        "iris-2/model.joblib": "c",
        "trees/churn.bst": "d",
    }.items():
        path = root / "models" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def fetched(store: ArtifactStore, uri: str, model_format: str = "sklearn", **options: Any) -> Artifact:
    return asyncio.run(store.fetch(uri, {}, model_format, **options))


def files(store: ArtifactStore, artifact: Artifact) -> list[str]:
    folder = store.folder(artifact.digest)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_folder_or_a_file_of_this_machine(store: ArtifactStore, tmp_path: Path, scheme: str) -> None:
    folder = tmp_path / "a model"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(b"x" * 1000)
    place = str(folder).replace(" ", "%20") if scheme else str(folder)
    whole = fetched(store, f"{scheme}{place}")
    assert (files(store, whole), whole.size, whole.files) == (["model.pkl"], 1000, 1)
    single = fetched(store, f"{scheme}{place}/model.pkl")
    assert single.digest == whole.digest, "a single file is a folder with that file"
    assert [path.name for path in store.root.iterdir()] == [whole.digest], "nothing is left beside it"


def test_a_folder_or_a_file_of_the_lake(store: ArtifactStore, lake: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = fetched(store, "s3://models/iris", progress=lambda size, count: seen.append((size, count)))
    assert files(store, found) == ["extra/words.txt", "model.joblib"], "and not iris-2's"
    assert seen[-1] == (2, 2)
    assert fetched(store, "s3://models/iris/").digest == found.digest
    assert files(store, fetched(store, "s3://models/trees/churn.bst", "xgboost")) == ["churn.bst"]


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://models/nowhere", "there is nothing at s3://models/nowhere"),
        ("s3://nobucket/iris", "there is nothing at s3://nobucket/iris"),
        ("s3://models/../secrets", "is not a path of the lake"),
        ("/nowhere/at/all", "there is no folder or file /nowhere/at/all"),
    ],
)
def test_what_is_not_there_is_said(store: ArtifactStore, lake: Path, uri: str, said: str) -> None:
    with pytest.raises(FetchError, match=said):
        fetched(store, uri)
    assert list(store.root.iterdir()) == []


def test_only_an_mlflow_model_must_have_an_mlmodel(store: ArtifactStore, lake: Path) -> None:
    with pytest.raises(FetchError, match="is no MLflow model"):
        fetched(store, "s3://models/iris", "mlflow")
    fetched(store, "s3://models/iris", "onnx")


def test_what_no_revision_needs_is_removed(store: ArtifactStore, lake: Path) -> None:
    kept, other = fetched(store, "s3://models/iris"), fetched(store, "s3://models/iris-2")
    (store.root / ".partial-x").mkdir()
    (store.root / f".gone-{other.digest}").mkdir()
    store.keep_only([kept.digest])
    assert [path.name for path in store.root.iterdir()] == [kept.digest]


@pytest.mark.slow
def test_the_registry_has_models_of_any_format(science_python: Path, tmp_path: Path) -> None:
    """A registered version, its alias, its run's artifact, and one file of it."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.txt").write_text("tree")
    environment = {**service_environment(), "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}

    def run(*command: str, text: str = "") -> str:
        done = subprocess.run(
            [str(science_python), *command],
            input=text,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout if done.returncode == 0 else f"{done.stdout}{done.stderr}"

    script = shutil.copy(Path(__file__).parent / "register_model.py", tmp_path)
    version, run_id = run(str(script), str(model), "trees", "champion").split()

    def fetch(uri: str, known: dict[str, str] | None = None) -> dict[str, Any]:
        asked = {"uri": uri, "format": "lightgbm", "store": str(tmp_path / "store"), "known": known or {}}
        said = run("-m", "millpond.serving.controller.fetch", text=json.dumps(asked))
        answers = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        return dict(answers[-1])

    by_alias = fetch("models:/trees@champion")
    assert "error" not in by_alias, by_alias
    assert (by_alias["uri"], by_alias["version"], by_alias["run_id"]) == ("models:/trees/1", version, run_id)
    assert (tmp_path / "store" / by_alias["digest"] / "model.txt").read_text() == "tree"
    shutil.rmtree(tmp_path / "mlruns", ignore_errors=True)
    again = fetch("models:/trees/1", {by_alias["identity"]: by_alias["digest"]})
    assert again["digest"] == by_alias["digest"], "a version that is here is not downloaded again"
    assert "the registry has no models:/trees@nobody" in fetch("models:/trees@nobody")["error"]

    _, run_id = run(str(script), str(model), "trees", "champion").split()
    for uri in (f"runs:/{run_id}/model", f"runs:/{run_id}/model/model.txt"):
        found = fetch(uri)
        assert (tmp_path / "store" / found["digest"] / "model.txt").read_text() == "tree", found
