"""An exported pipeline is what Argo Workflows takes, under the platform's rules, and its steps come to a run.

Argo's controller does not run here: `standin` starts the commands that the documents say.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from millpond.pipelines.record import Runs

from ..conftest import Cluster, Project
from .conftest import FLAVOUR, PIPELINE, export, write
from .standin import of_argo, run

SCHEMA = json.loads((Path(__file__).parent / "argo/workflows.schema.json").read_text())
Documents = list[dict[str, Any]]


def _one(documents: Documents, kind: str) -> dict[str, Any]:
    return next(each for each in documents if each["kind"] == kind)


def _check(document: dict[str, Any]) -> None:
    name = f"io.argoproj.workflow.v1alpha1.{document['kind']}"
    jsonschema.Draft7Validator({**SCHEMA, "$ref": f"#/definitions/{name}"}).validate(document)


def test_every_document_is_what_the_api_takes(argo: Documents) -> None:
    kinds = [document["kind"] for document in argo]
    assert kinds[-2:] == ["WorkflowTemplate", "CronWorkflow"]
    for document in argo:
        assert document["metadata"]["namespace"] == "lab"
        if document["kind"] in ("WorkflowTemplate", "CronWorkflow"):
            _check(document)
        else:
            kubernetes_validate.validate(document, "1.34", strict=True)


def test_a_misspelt_key_would_be_found(argo: Documents) -> None:
    template = _one(argo, "WorkflowTemplate")
    template["spec"]["templates"][1]["retryStrategi"] = {}
    with pytest.raises(jsonschema.ValidationError, match="retryStrategi"):
        _check(template)


def test_the_pods_are_ones_that_the_cluster_takes(argo: Documents) -> None:
    spec = _one(argo, "WorkflowTemplate")["spec"]
    for template in spec["templates"][1:]:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": template["name"], "labels": spec["podMetadata"]["labels"]},
            "spec": {
                "containers": [template["container"]],
                "volumes": spec["volumes"],
                "securityContext": spec["securityContext"],
                "serviceAccountName": spec["serviceAccountName"],
            },
        }
        kubernetes_validate.validate(pod, "1.34", strict=True)
        own = template["container"]["securityContext"]
        assert own["allowPrivilegeEscalation"] is False and own["capabilities"] == {"drop": ["ALL"]}
        assert own["readOnlyRootFilesystem"] is True
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    # The step has no token; Argo's own container has one that can report how the step ended, and no more.
    assert spec["automountServiceAccountToken"] is False
    assert spec["executor"]["serviceAccountName"] == _one(argo, "RoleBinding")["subjects"][0]["name"]
    assert [rule["resources"] for rule in _one(argo, "Role")["rules"]] == [["workflowtaskresults"]]


def test_nothing_secret_is_in_it(argo: Documents) -> None:
    container = _one(argo, "WorkflowTemplate")["spec"]["templates"][1]["container"]
    env = {each["name"]: each for each in container["env"]}
    assert env["AWS_ENDPOINT_URL"]["value"].startswith("http://seaweedfs.lab.svc")
    for name in ("AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD"):
        assert set(env[name]) == {"name", "valueFrom"} and "secretKeyRef" in env[name]["valueFrom"]
    assert "DASK_SCHEDULER_ADDRESS" not in env
    secret = _one(argo, "Secret")
    assert "data" not in secret and "stringData" not in secret


def test_the_graph_retries_times_parameters_and_schedule_are_the_files(argo: Documents) -> None:
    spec = _one(argo, "WorkflowTemplate")["spec"]
    templates = {each["name"]: each for each in spec["templates"]}
    tasks = {
        each["name"]: each.get("dependencies", []) for each in templates[spec["entrypoint"]]["dag"]["tasks"]
    }
    assert tasks == {
        "first-one": [],
        "twice": ["first-one"],
        "fan": ["first-one"],
        "never": ["first-one"],
        "table": ["twice", "fan"],
    }
    twice = templates["twice"]
    assert twice["retryStrategy"]["limit"] == "2"
    assert twice["retryStrategy"]["backoff"] == {"duration": "2s", "factor": "1"}
    assert twice["activeDeadlineSeconds"] == "120"
    assert twice["container"]["resources"]["limits"] == {"memory": "1Gi", "cpu": "1"}
    # Its items run one after the other in one pod, each within its own time.
    assert "activeDeadlineSeconds" not in templates["fan"]
    given = {each["name"]: each for each in spec["arguments"]["parameters"]}
    assert given["start"]["value"] == "3" and given["many"]["value"] == "1,2"
    assert given["size"]["enum"] == ["small", "large"] and given["loud"]["enum"] == ["true", "false"]
    cron = _one(argo, "CronWorkflow")["spec"]
    assert (cron["schedules"], cron["timezone"]) == (["15 5 * * *"], "Europe/Brussels")
    assert cron["workflowSpec"]["arguments"]["parameters"] == [{"name": "start", "value": "9"}]


def test_options_take_the_place_of_what_the_file_and_the_platform_say(tmp_path: Path) -> None:
    write(tmp_path)
    words = ["--image", "registry.example.org/flow:1", "--claim", "shared", "-p", "start=7"]
    found = export(tmp_path, "--to", "argo", *words, "--schedule", "0 0 * * 0", "-o", "numbers.yaml")
    spec = _one(found, "WorkflowTemplate")["spec"]
    assert spec["templates"][1]["container"]["image"] == "registry.example.org/flow:1"
    assert {"name": "pipeline-runs", "persistentVolumeClaim": {"claimName": "shared"}} in spec["volumes"]
    assert "PersistentVolumeClaim" not in [each["kind"] for each in found]
    assert {each["name"]: each["value"] for each in spec["arguments"]["parameters"]}["start"] == "7"
    assert _one(found, "CronWorkflow")["spec"]["schedules"] == ["0 0 * * 0"]


@pytest.mark.parametrize(
    ("flavour", "pipeline", "said"),
    [
        (FLAVOUR.replace(", dask", ""), PIPELINE, "the platform lab has no Dask"),
        (
            FLAVOUR,
            PIPELINE.replace("    call: steps:never", "    environment: [tabulate]\n    call: steps:never"),
            "the step never has packages of its own",
        ),
        (
            FLAVOUR,
            PIPELINE.replace("first_one", "twice-up").replace("  never:", "  twice_up:"),
            "would both be twice-up in Argo",
        ),
    ],
)
def test_what_cannot_be_exported_is_refused(tmp_path: Path, flavour: str, pipeline: str, said: str) -> None:
    from click.testing import CliRunner

    from millpond.cli.root import root

    write(tmp_path, flavour, pipeline)
    done = CliRunner().invoke(root, ["-C", str(tmp_path), "pipeline", "export", "flow", "--to", "argo"])
    assert said in str(done.exception or done.output)


def test_its_steps_come_to_the_run_that_the_embedded_engine_makes(
    tmp_path: Path, cluster: Cluster, argo: Documents
) -> None:
    project = Project(tmp_path, cluster)
    config_map = _one(argo, "ConfigMap")
    given = {"mark": str(tmp_path / "mark"), "many": "4,5"}
    ended = run(of_argo(argo, given), config_map, tmp_path, cluster.python, project.env())
    assert set(ended.status.values()) == {"Succeeded"}, ended.logs
    assert ended.tries == {"first-one": 1, "twice": 2, "fan": 1, "never": 1, "table": 1}
    record = Runs(tmp_path / "runs").list()[0]
    assert (record.status, record.engine) == ("succeeded", "argo")
    assert record.results == {"total": 6 + 7 + 8}
    assert record.parameters["many"] == [4, 5]
    assert record.steps["twice"].attempts == 2 and record.steps["never"].status == "skipped"
    assert "the first is 3" in ended.logs["first-one"]
    # The same on Dask, with nothing taken over from the run before.
    (tmp_path / "runs/results.sqlite").unlink()
    embedded = project.run(given)
    assert embedded.status == "succeeded", embedded.steps
    for name, step in embedded.steps.items():
        assert record.steps[name].status == step.status
        mine = {port: reference.digest for port, reference in record.steps[name].outputs.items()}
        assert mine == {port: reference.digest for port, reference in step.outputs.items()}


def test_what_needs_a_failed_step_is_not_run(tmp_path: Path, cluster: Cluster, argo: Documents) -> None:
    tasks = of_argo(argo, {"mark": str(tmp_path / "no/such/folder")})
    tasks = {name: tasks[name] for name in tasks if name not in ("never", "fan")}
    tasks["table"].needs.remove("fan")
    ended = run(tasks, _one(argo, "ConfigMap"), tmp_path, cluster.python, Project(tmp_path, cluster).env())
    assert ended.status == {"first-one": "Succeeded", "twice": "Failed", "table": "Omitted"}
    assert ended.tries["twice"] == 3
    record = Runs(tmp_path / "runs").list()[0]
    assert record.steps["twice"].status == "failed" and record.steps["table"].status == "skipped"
