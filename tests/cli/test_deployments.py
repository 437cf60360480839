"""Commands for models against a stand-in of the controller: what they apply, write, print and refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millpond.cli.exit_codes import ExitCode
from millpond.model.document import read

from .conftest import Run, call, write_flavour

pytestmark = pytest.mark.slow

GRAPH = """\
apiVersion: serving.kserve.io/v1alpha1
kind: InferenceGraph
metadata: {name: both}
spec:
  nodes:
    root:
      routerType: Sequence
      steps: [{serviceName: flights}]
"""
SELDON = """\
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {name: wines}
spec:
  predictors:
    - {name: a, traffic: 80, graph: {name: a, implementation: MLFLOW_SERVER, modelUri: "s3://wines/a"}}
    - {name: b, traffic: 20, graph: {name: b, implementation: MLFLOW_SERVER, modelUri: "s3://wines/b"}}
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Path]:
    """A platform whose serving is a stand-in."""
    folder = tmp_path_factory.mktemp("models")
    write_flavour(folder, "models")
    found = call(folder, cache, "up")
    assert found.returncode == 0, found.stderr
    yield folder
    call(folder, cache, "destroy", "--yes")


@pytest.fixture
def serving(platform: Path, cache: Path) -> Iterator[Run]:
    """The command line in its folder; no deployment is left, and no file of one."""

    def run(*words: str, **more: object) -> Any:
        return call(platform, cache, *words, **more)  # type: ignore[arg-type]

    yield run
    names = [item["metadata"]["name"] for item in json.loads(run("deployments", "--json").stdout)]
    if names:
        run("undeploy", "--yes", *names)
    for path in platform.glob("deployments/*"):
        path.unlink()


def written(platform: Path, name: str) -> Any:
    path = platform / "deployments" / f"{name}.yaml"
    return read(path.read_text(), str(path)).data


def test_a_model_is_deployed_and_its_document_written(serving: Run, platform: Path) -> None:
    found = serving("deploy", "models:/flights/7", "--name", "flights", "--min", "2", "--log")
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("http://127.0.0.1:")
    assert "wrote deployments/flights.yaml" in found.stderr
    assert "flights-00001 serves models:/flights/7" in found.stderr
    predictor = written(platform, "flights")["spec"]["predictor"]
    assert predictor == {
        "model": {"modelFormat": {"name": "mlflow"}, "storageUri": "models:/flights/7"},
        "minReplicas": 2,
        "logger": {"mode": "all"},
    }


def test_a_dry_run_prints_what_it_would_apply_and_changes_nothing(serving: Run, platform: Path) -> None:
    words = ("deploy", "models:/flights/7", "--name", "flights")
    printed = serving(*words, "--dry-run")
    assert printed.returncode == 0
    assert not (platform / "deployments").exists() or not list((platform / "deployments").iterdir())
    assert serving("deployments", "--json").stdout.strip() == "[]"
    serving(*words)
    assert (platform / "deployments/flights.yaml").read_text() == printed.stdout


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("models:/nothing@champion", "flights is not deployed: there is no model models:/nothing@champion"),
        ("models:/broken/1", "flights is not deployed: there is no model models:/broken/1"),
        ("models:/refused/1", "the controller does not take this"),
        ("gopher://flights", "'gopher://flights' is not supported"),
    ],
)
def test_a_wrong_model_is_one_sentence_and_leaves_nothing(
    serving: Run, platform: Path, uri: str, reason: str
) -> None:
    found = serving("deploy", uri, "--name", "flights")
    assert found.returncode != 0
    (error,) = [line for line in found.stderr.splitlines() if line.startswith("error:")]
    assert reason in error
    assert not found.stdout
    assert not (platform / "deployments/flights.yaml").exists()
    assert serving("deployments", "--json").stdout.strip() == "[]"


def test_a_wrong_model_keeps_what_serves_and_its_file(serving: Run, platform: Path) -> None:
    serving("deploy", "models:/flights/7", "--name", "flights")
    before = (platform / "deployments/flights.yaml").read_text()
    found = serving("deploy", "models:/broken/8", "--name", "flights")
    assert found.returncode == ExitCode.FAILED
    assert "flights stays with flights-00001: there is no model models:/broken/8" in found.stderr
    assert "hint: `millpond logs flights` shows more" in found.stderr
    assert (platform / "deployments/flights.yaml").read_text() == before
    assert "the newest revision of flights failed" in serving("deployments").stderr


@pytest.mark.parametrize("mode", ["--canary=10", "--shadow", "--ab", "--rollout"])
def test_nothing_stands_beside_a_first_deployment(serving: Run, mode: str) -> None:
    found = serving("deploy", mode, "models:/flights/7", "--name", "flights")
    assert found.returncode == ExitCode.FAILED
    assert "there is nothing yet that models:/flights/7 could stand beside" in found.stderr
    assert f"hint: leave {mode.partition('=')[0]} out" in found.stderr


def test_a_canary_grows_and_is_promoted_while_comments_stay(serving: Run, platform: Path) -> None:
    serving("deploy", "models:/flights/7", "--name", "flights")
    path = platform / "deployments/flights.yaml"
    path.write_text(path.read_text().replace("spec:\n", "spec:\n  # looked after by the delays team\n"))
    beside = serving(
        "deploy", "models:/flights/8", "--name", "flights", "--canary", "10", "--sticky", "cookie"
    )
    assert "flights-00002 has 10 % of the requests: models:/flights/8" in beside.stderr
    assert "hint: `millpond promote flights`" in beside.stderr
    assert written(platform, "flights")["metadata"]["annotations"] == {
        "serving.millpond.dev/sticky": "cookie"
    }
    assert "flights-00002  10 %" in serving("traffic", "flights").stdout
    serving("traffic", "flights", "40")
    shares = json.loads(serving("traffic", "flights", "--json").stdout)
    assert {item["revisionName"]: item["percent"] for item in shares} == {
        "flights-00002": 40,
        "flights-00001": 60,
    }
    before = path.read_text()
    assert "canaryTrafficPercent" not in serving("promote", "flights", "--dry-run").stdout
    assert path.read_text() == before
    assert "flights-00002 serves models:/flights/8" in serving("promote", "flights").stderr
    assert "canaryTrafficPercent" not in path.read_text()
    assert "# looked after by the delays team" in path.read_text()
    back = serving("rollback", "flights")
    assert "flights-00001 serves models:/flights/7" in back.stderr
    assert written(platform, "flights")["spec"]["predictor"]["model"]["storageUri"] == "models:/flights/7"
    again = serving("traffic", "flights", "50")
    assert again.returncode == ExitCode.FAILED
    assert "deployment flights has one revision" in again.stderr


def test_a_promotion_promotes_what_is_deployed_and_not_what_was_written_since(
    serving: Run, platform: Path
) -> None:
    serving("deploy", "models:/flights/7", "--name", "flights")
    serving("deploy", "models:/flights/8", "--name", "flights", "--canary", "10")
    path = platform / "deployments/flights.yaml"
    path.write_text(path.read_text().replace("models:/flights/8", "models:/flights/9"))
    found = serving("promote", "flights")
    assert found.returncode == ExitCode.FAILED
    assert "deployments/flights.yaml says another model than the one that is deployed" in found.stderr
    assert serving("rollback", "flights").returncode == 0


@pytest.mark.parametrize(
    ("options", "percent", "annotations"),
    [
        (["--shadow"], 0, {"mirror": "100"}),
        (["--shadow", "30"], 0, {"mirror": "30"}),
        (["--ab"], 50, {"experiment": "flights", "sticky": "cookie"}),
        (
            ["--ab", "20", "--sticky", "header:x-user"],
            20,
            {"experiment": "flights", "sticky": "header:x-user"},
        ),
        (["--canary", "0", "--canary-header", "x-beta=yes"], 0, {"canary-header": "x-beta=yes"}),
    ],
)
def test_each_way_beside_another_is_a_document(
    serving: Run, options: list[str], percent: int, annotations: dict[str, str]
) -> None:
    serving("deploy", "models:/flights/7", "--name", "flights")
    found = serving("deploy", "--name", "flights", *options, "models:/flights/8", "--dry-run")
    document = read(found.stdout, "printed").data
    assert document["spec"]["predictor"]["canaryTrafficPercent"] == percent
    prefix = "serving.millpond.dev/"
    own = {key.removeprefix(prefix): value for key, value in document["metadata"]["annotations"].items()}
    assert own == annotations


def test_a_rollout_has_steps_or_says_what_is_wrong_with_them(serving: Run) -> None:
    serving("deploy", "models:/flights/7", "--name", "flights")
    words = ("deploy", "models:/flights/8", "--name", "flights", "--dry-run", "--rollout")
    document = read(serving(*words, "10,100").stdout, "printed").data
    plan = json.loads(document["metadata"]["annotations"]["serving.millpond.dev/rollout"])
    assert plan["steps"] == [10, 100]
    assert document["spec"]["predictor"]["canaryTrafficPercent"] == 10
    wrong = serving(*words, "50,10")
    assert wrong.returncode == ExitCode.USAGE
    assert "do not grow" in wrong.stderr


def test_options_that_contradict_each_other_are_refused(serving: Run) -> None:
    both = serving("deploy", "models:/a/1", "--name", "a", "--canary", "5", "--shadow")
    assert "--canary and --shadow exclude each other" in both.stderr
    for words in (["deploy"], ["deploy", "models:/a/1"], ["deploy", "models:/a/1", "-f", "x.yaml"]):
        assert serving(*words).returncode == ExitCode.USAGE
    assert serving("deploy", "models:/a/1", "--name", "Flights!").returncode == ExitCode.USAGE


def test_a_file_of_several_documents_is_read_whole_before_any_is_applied(
    serving: Run, platform: Path
) -> None:
    service = serving("deploy", "models:/flights/7", "--name", "flights", "--dry-run").stdout
    wrong = platform / "wrong.yaml"
    wrong.write_text(service + "---\n" + GRAPH.replace("Sequence", "Sequenze"))
    found = serving("deploy", "-f", "wrong.yaml")
    assert found.returncode == ExitCode.DOCUMENT
    line = 1 + wrong.read_text().splitlines().index("      routerType: Sequenze")
    assert f"wrong.yaml:{line}:19: spec.nodes.root.routerType must be" in found.stderr
    assert serving("deployments", "--json").stdout.strip() == "[]"
    wrong.write_text("kind: Deployment\n")
    assert "wrong.yaml:1:7: the kind Deployment is not known" in serving("deploy", "-f", "wrong.yaml").stderr

    found = serving("deploy", "-f", "-", stdin=service + "---\n" + GRAPH)
    assert found.returncode == 0, found.stderr
    assert "flights-00001 serves" in found.stderr
    assert "graph both answers" in found.stderr
    assert (platform / "deployments/flights.yaml").read_text() == service
    assert serving("graph", "list").stdout.split()[5:9] == ["both", "ready", "Sequence", "1"]
    assert "warning: the graph both calls flights" in serving("undeploy", "flights").stderr
    assert "did you mean both?" in serving("graph", "delete", "bot").stderr
    assert "graph both is gone" in serving("graph", "delete", "both").stderr


def test_seldons_documents_are_translated_and_that_is_said(serving: Run) -> None:
    found = serving("deploy", "-f", "-", stdin=SELDON)
    assert found.returncode == 0, found.stderr
    assert (
        "SeldonDeployment wines is translated to InferenceService wines, then its second revision"
        in found.stderr
    )
    assert "wines-00002 has 20 % of the requests: s3://wines/b" in found.stderr


def test_deployments_are_listed_and_shown(serving: Run) -> None:
    empty = serving("deployments")
    assert "nothing is deployed here" in empty.stderr
    serving("deploy", "models:/flights/7", "--name", "flights")
    serving("deploy", "models:/flights/8", "--name", "flights", "--shadow")
    lines = serving("deployments").stdout.splitlines()
    assert lines[0].split()[:4] == ["NAME", "READY", "REVISION", "TRAFFIC"]
    assert lines[1].split()[:7] == ["flights", "ready", "flights-00002", "copies", "of", "100", "%"]
    assert lines[2].split()[:3] == ["flights-00001", "100", "%"]
    shown = serving("deployments", "flights").stdout
    assert "LatestDeploymentReady  True" in shown
    assert "did you mean flights?" in serving("deployments", "flihgts").stderr
    assert json.loads(serving("deployments", "flights", "--json").stdout)["status"]["revisions"]


def test_undeploy_asks_and_keeps_the_file(serving: Run, platform: Path) -> None:
    serving("deploy", "models:/flights/7", "--name", "flights")
    refused = serving("undeploy", "flights")
    assert refused.returncode == ExitCode.USAGE
    assert "hint: `millpond undeploy flights --yes` does not ask" in refused.stderr
    assert serving("undeploy", "flights", "nobody", "--yes").returncode == ExitCode.FAILED
    assert json.loads(serving("deployments", "--json").stdout)
    assert "flights is gone" in serving("undeploy", "flights", "--yes").stderr
    assert (platform / "deployments/flights.yaml").exists()
    assert serving("deploy", "-f", "deployments/flights.yaml").returncode == 0


def test_predictions_from_csv_json_and_standard_input(serving: Run, platform: Path) -> None:
    serving("deploy", "models:/flights/7", "--name", "flights")
    (platform / "rows.csv").write_text("code,size\n007,1\n012,2\n")
    found = serving("predict", "flights", "--csv", "rows.csv")
    assert found.stdout == "code  size\n007   1\n012   2\n"
    assert "flights-00001 answered, the prediction's id is an-id" in found.stderr
    rows = serving("predict", "flights", "--csv", "-", "--protocol", "v1", "--json", stdin="code\n007\n")
    assert json.loads(rows.stdout) == {"predictions": [{"code": "007"}]}
    assert serving("predict", "flights", "--data", "-", stdin="[[1, 2], 3]").stdout == "[1, 2]\n3\n"
    assert "standard input is not JSON" in serving("predict", "flights", "--data", "-", stdin="x").stderr
    assert "cannot read rows.json" in serving("predict", "flights", "--data", "rows.json").stderr
    assert "did you mean flights?" in serving("predict", "flight", "--csv", "rows.csv").stderr
    wrong = serving("predict", "flights", "--csv", "rows.csv", "--revision", "flights-00009")
    assert "hint: these do: flights-00001" in wrong.stderr


def test_feedback_is_a_reward_or_a_truth(serving: Run) -> None:
    serving("deploy", "models:/flights/7", "--name", "flights")
    assert "noted for an-id" in serving("feedback", "flights", "an-id", "--reward", "1").stderr
    assert serving("feedback", "flights", "an-id", "--truth", "late").returncode == 0
    assert serving("feedback", "flights", "an-id").returncode == ExitCode.USAGE


def test_names_of_deployments_are_completed(serving: Run) -> None:
    serving("deploy", "models:/flights/7", "--name", "flights")
    found = serving(_MILLPOND_COMPLETE="bash_complete", COMP_WORDS="millpond promote fl", COMP_CWORD="2")
    assert found.stdout.splitlines() == ["plain,flights"]


def test_a_platform_without_serving_says_so(shared: Path, cache: Path) -> None:
    found = call(shared, cache, "deployments")
    assert found.returncode == ExitCode.FAILED
    assert "has no model serving" in found.stderr
    assert "hint: add the component serving" in found.stderr
