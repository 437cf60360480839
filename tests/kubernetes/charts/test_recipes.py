"""What the chart recipes make of a flavour: storage classes, GPUs, keys for each asker, what is durable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from millpond.model.errors import DocumentError, MillpondError
from millpond.targets.kubernetes.bundle import Bundle, Release
from millpond.targets.kubernetes.render import render

from ..render.conftest import resolved


def rendered(folder: Path, components: dict[str, object], **kubernetes: object) -> Bundle:
    return render(
        *resolved(folder, {"name": "demo", "components": components, "kubernetes": dict(kubernetes)})
    )


def release(bundle: Bundle, name: str) -> Release:
    found = bundle.units[name].release
    assert found is not None
    return found


def at(data: Any, path: str) -> Any:
    for step in path.split("."):
        data = data[int(step)] if step.isdigit() else data.get(step)
    return data


CLASSES = {
    "jupyterhub": "singleuser.storage.dynamic.storageClass",
    "prometheus": "prometheus.prometheusSpec.storageSpec.volumeClaimTemplate.spec.storageClassName",
    "seaweedfs": "volume.dataDirs.0.storageClass",
}


@pytest.mark.parametrize(("name", "path"), CLASSES.items())
def test_volumes_get_the_flavours_storage_class(name: str, path: str, tmp_path: Path) -> None:
    chosen = {name: {"recipe": "chart"}}
    assert at(release(rendered(tmp_path, chosen, storage_class="fast"), name).values, path) == "fast"
    # An empty class would be one that no volume is made for.
    text = json.dumps(release(rendered(tmp_path, chosen), name).values)
    assert "storageClass" not in text


def test_operators_objects_get_the_flavours_storage_class(tmp_path: Path) -> None:
    bundle = rendered(tmp_path, {"strimzi": {}, "cloudnativepg": {}}, storage_class="fast")
    pool = release(bundle, "strimzi").objects[0]
    assert at(pool, "spec.storage.volumes.0.class") == "fast"
    assert at(release(bundle, "cloudnativepg").objects[0], "spec.storage.storageClass") == "fast"
    bundle = rendered(tmp_path, {"strimzi": {}, "cloudnativepg": {}})
    assert "class" not in at(release(bundle, "strimzi").objects[0], "spec.storage.volumes.0")


def test_gpus_make_a_profile_on_the_nodes_that_are_kept_for_them(tmp_path: Path) -> None:
    hub = release(rendered(tmp_path, {"jupyterhub": {"resources": {"gpu": 2}}}), "jupyterhub")
    given = at(hub.values, "singleuser.profileList.1.kubespawner_override")
    assert given["extra_resource_limits"] == {"nvidia.com/gpu": "2"}
    assert given["node_selector"] == {"dedicated": "gpu"}
    assert given["tolerations"] == [
        {"key": "dedicated", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}
    ]
    plain = release(rendered(tmp_path, {"jupyterhub": {}}), "jupyterhub")
    assert "profileList" not in plain.values["singleuser"]


def test_gpus_for_a_chart_that_takes_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MillpondError, match="trino takes no gpu") as caught:
        rendered(tmp_path, {"trino": {"resources": {"gpu": 1}}})
    assert "trino.values" in (caught.value.hint or "")


@pytest.mark.parametrize(("copies", "durable"), [(1, 1), (3, 2)])
def test_kafka_acknowledges_what_most_copies_have(copies: int, durable: int, tmp_path: Path) -> None:
    kafka = release(rendered(tmp_path, {"strimzi": {"nodes": 5, "replication": copies}}), "strimzi")
    found = at(kafka.objects[1], "spec.kafka.config")
    assert found["min.insync.replicas"] == durable


def test_each_asker_of_the_store_gets_a_key_by_a_job(tmp_path: Path) -> None:
    components: dict[str, object] = {"seaweedfs": {"recipe": "chart"}, "mlflow": {}, "dask": {}}
    store = release(rendered(tmp_path, components), "seaweedfs")
    jobs = {obj["metadata"]["name"]: obj for obj in store.objects if obj["kind"] == "Job"}
    assert set(jobs) == {"seaweedfs-buckets", "seaweedfs-key-mlflow-modelartifacts", "seaweedfs-key-dask"}
    env = at(jobs["seaweedfs-key-mlflow-modelartifacts"], "spec.template.spec.containers.0.env")
    told = {variable["name"]: variable for variable in env}
    assert told["BUCKET"]["value"] == "modelartifacts"
    assert told["FILER"]["value"] == "seaweedfs-filer.demo.svc:8888"
    assert "secretKeyRef" in told["SECRET_KEY"]["valueFrom"]


def test_mlflows_chart_is_wired_as_its_service_is(tmp_path: Path) -> None:
    bundle = rendered(tmp_path, {"mlflow": {"recipe": "chart", "replicas": 3}, "cloudnativepg": {}})
    values = release(bundle, "mlflow").values
    assert values["replicaCount"] == 3
    assert at(values, "backendStore.postgres.host") == "cloudnativepg-rw.demo.svc"
    assert at(values, "backendStore.postgres.port") == 5432
    assert at(values, "artifactRoot.s3.bucket") == "modelartifacts"
    kept = {secret.name: set(secret.texts) for secret in bundle.secrets}
    assert {"username", "password", "admin-password", "secret-key"} <= kept["mlflow-chart"]


def test_a_worker_finds_prefects_server(tmp_path: Path) -> None:
    bundle = rendered(tmp_path, {"prefect-worker": {"pool": "nightly"}})
    worker = release(bundle, "prefect-worker").values["worker"]
    assert at(worker, "selfHostedServerApiConfig.apiUrl") == "http://prefect.demo.svc:4200/api"
    assert worker["config"]["workPool"] == "nightly"
    assert "auth-string" in {
        key for s in bundle.secrets if s.name == "prefect-worker-chart" for key in s.texts
    }


def test_seldons_pods_stand_where_the_restricted_standard_does_not_hold(tmp_path: Path) -> None:
    bundle = rendered(tmp_path, {"seldon-core": {}})
    seldon = release(bundle, "seldon-core")
    assert at(seldon.values, "kafka.bootstrap") == "strimzi-kafka-bootstrap.demo.svc:9092"
    assert {obj["metadata"]["namespace"] for obj in seldon.objects} == {"seldon-mesh"}
    assert bundle.units["seldon-core"].waits_for[0] in ("seldon-crds", "strimzi")


def test_airflow_takes_its_graphs_from_git_and_its_keys_from_a_secret(tmp_path: Path) -> None:
    options = {
        "recipe": "chart",
        "git_sync": True,
        "repository": "https://git.example.org/dags.git",
        "branch": "stable",
    }
    bundle = rendered(tmp_path, {"airflow": options})
    values = release(bundle, "airflow").values
    assert at(values, "dags.gitSync.enabled") is True
    assert (at(values, "dags.gitSync.repo"), at(values, "dags.gitSync.ref")) == (
        options["repository"],
        "stable",
    )
    assert at(values, "config.logging.remote_base_log_folder") == "s3://airflow/logs"
    kept = {secret.name: set(secret.texts) for secret in bundle.secrets}
    assert {"connection", "fernet-key", "api-secret-key", "jwt-secret", "logs"} <= kept["airflow-chart"]


def test_supersets_object_names_its_secrets(tmp_path: Path) -> None:
    (superset,) = release(rendered(tmp_path, {"superset": {"replicas": 2}}), "superset").objects
    assert at(superset, "spec.metastore.uriFrom") == {"name": "superset-chart", "key": "uri"}
    assert at(superset, "spec.webServer.replicas") == 2


def test_feasts_store_is_a_file_of_a_secret(tmp_path: Path) -> None:
    bundle = rendered(tmp_path, {"feast": {}})
    volumes = release(bundle, "feast").values["volumes"]
    assert volumes == [{"name": "store", "secret": {"secretName": "feast-chart"}}]
    assert "feature_store.yaml" in {key for s in bundle.secrets if s.name == "feast-chart" for key in s.texts}


@pytest.mark.parametrize(
    ("chosen", "message", "hint"),
    [
        ({"trino": {"image": f"trino@sha256:{'0' * 64}"}}, "chart, which takes no image", "trino: values"),
        ({"trino": {"resources": {"memory": "4Gi"}}}, "chart, which takes no memory resources", "values"),
        ({"mlflow": {"values": {"a": 1}}}, "mlflow is realised by its service", "recipe: chart"),
        ({"postgres": {"values": {"a": 1}}}, "service, which takes no values", "leave it out"),
    ],
)
def test_what_a_recipe_would_take_no_notice_of_is_refused_at_its_place(
    chosen: dict[str, object], message: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(DocumentError, match=rf"millpond\.yaml:\d+:\d+: .*{message}") as caught:
        rendered(tmp_path, chosen)
    assert hint in (caught.value.hint or "")
