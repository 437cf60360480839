"""Each chart component renders a release: the same every time, and with nothing secret in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from millpond.catalogue import Catalogue
from millpond.model.component import Chart, Component
from millpond.model.errors import DocumentError, MillpondError
from millpond.targets.kubernetes.bundle import MANAGED_BY, Bundle, Release
from millpond.targets.kubernetes.charts import releases
from millpond.targets.kubernetes.render import render

from ..render.conftest import resolved

CHARTS = [entry.component for entry in Catalogue() if entry.component.chart]


def rendered(folder: Path, components: dict[str, object]) -> Bundle:
    return render(*resolved(folder, {"name": "demo", "components": components}))


@pytest.mark.parametrize("component", CHARTS, ids=lambda found: found.name)
def test_each_renders_a_release(component: Component, tmp_path: Path) -> None:
    bundle = rendered(tmp_path, {component.name: {"recipe": "chart"}})
    release = bundle.units[component.name].release
    assert release is not None
    assert (release.name, release.platform) == (component.name, "demo")
    text = json.dumps([release.values, release.objects], sort_keys=True)
    assert "${" not in text.replace("${ENV:", "")
    for obj in release.objects:
        assert obj["metadata"]["labels"][MANAGED_BY] == "millpond"
    again = rendered(tmp_path, {component.name: {"recipe": "chart"}}).units[component.name].release
    assert again == release


def test_an_option_alone_keeps_its_type_and_the_users_values_come_last(tmp_path: Path) -> None:
    user = {"worker": {"resources": {"requests": {"memory": "1Gi"}}}}
    release = rendered(tmp_path, {"trino": {"workers": 5, "values": user}}).units["trino"].release
    assert release is not None
    assert release.values["server"]["workers"] == 5
    assert release.values["worker"] == {"jvm": {"maxHeapSize": "8G"}, **user["worker"]}


def test_each_asker_gets_a_database_and_a_secret_of_its_own(tmp_path: Path) -> None:
    bundle = rendered(tmp_path, {"cloudnativepg": {}, "mlflow": {}, "prefect": {}})
    release = bundle.units["cloudnativepg"].release
    assert release is not None
    databases = [obj["spec"]["name"] for obj in release.objects if obj["kind"] == "Database"]
    assert sorted(databases) == ["demo", "mlflow", "prefect"]  # demo: what steps find
    kept = {secret.name: set(secret.texts) for secret in bundle.secrets}
    assert kept["cloudnativepg-role-mlflow"] == {"username", "password"}
    assert kept["prefect-chart"] == {"connection-string", "auth-string"}


def test_a_values_file_is_taken_from_the_flavours_folder(tmp_path: Path) -> None:
    (tmp_path / "trino.yaml").write_text("server: {workers: 7}")
    release = rendered(tmp_path, {"trino": {"values": "trino.yaml"}}).units["trino"].release
    assert release is not None
    assert release.values["server"]["workers"] == 7


def test_a_values_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MillpondError, match=r"gone\.yaml of trino cannot be read"):
        rendered(tmp_path, {"trino": {"values": "gone.yaml"}})


@pytest.mark.parametrize(("text", "place"), [("a: 1\nb: [", "3:1"), ("- a", "1:1")])
def test_a_mistake_in_a_values_file_is_told_with_its_place(text: str, place: str, tmp_path: Path) -> None:
    (tmp_path / "trino.yaml").write_text(text)
    with pytest.raises(DocumentError, match=rf"trino\.yaml:{place}: "):
        rendered(tmp_path, {"trino": {"values": "trino.yaml"}})


@pytest.mark.slow
def test_helm_renders_a_chart_of_our_own(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: tiny, version: 0.1.0}")
    (tmp_path / "templates" / "words.yaml").write_text(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: '{{ .Release.Name }}'},"
        " data: {word: '{{ .Values.word }}'}}"
    )
    (tmp_path / "templates" / "test.yaml").write_text(
        "{apiVersion: v1, kind: Pod, metadata: {name: try, annotations: {helm.sh/hook: test}}}"
    )
    chart = Chart(repository=str(tmp_path), name="tiny", version="0.1.0")
    found = releases().template(Release("try", "demo", chart, {"word": "hello"}))
    assert [(obj["metadata"]["name"], obj["data"]["word"]) for obj in found] == [("try", "hello")]


def test_trino_has_what_the_platform_has_as_catalogues(tmp_path: Path) -> None:
    """Without a provider there is no half of a catalogue, on which Trino would not start."""

    def catalogues(flavour: dict[str, object]) -> tuple[dict[str, str], set[str]]:
        bundle = render(*resolved(tmp_path, {"name": "demo", **flavour}))
        release = bundle.units["trino"].release
        assert release is not None
        return release.values["catalogs"], {item["name"] for item in release.values["env"]}

    alone, variables = catalogues({"components": {"trino": {}}})
    assert set(alone) == {"postgres"}
    assert "MYSQL_PASSWORD" not in variables
    shop = {"host": "db.example.org", "database": "shop", "username": "trino", "password": {"env": "SHOP"}}
    all_of_them, variables = catalogues(
        {"components": {"trino": {}, "seaweedfs": {}}, "external": {"mysql": shop}}
    )
    assert set(all_of_them) == {"postgres", "iceberg", "mysql"}
    assert "iceberg.rest-catalog.uri=http://seaweedfs" in all_of_them["iceberg"]
    assert "jdbc:mysql://db.example.org:3306" in all_of_them["mysql"]
    assert {"MYSQL_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY"} <= variables
