"""Data-Mill's flavours: what is read, where from, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millpond.catalogue import Catalogue
from millpond.flavours.datamill import find_flavour, is_datamill, mapping, translate
from millpond.flavours.datamill.layout import SHIPPED
from millpond.model.document import read
from millpond.model.errors import DocumentError, MillpondError, UsageError
from millpond.model.resolve import resolve

EXAMPLES = {
    "datalake_flavour": ["minio", "pachyderm"],
    "datawarehouse_flavour": [
        "minio",
        "pachyderm",
        "kafka",
        "rabbitmq",
        "superset",
        "spark",
        "monitoring-stack",
    ],
    "kubeflow_flavour": ["minio", "pachyderm", "kubeflow"],
    "explorative_flavour": ["minio", "arangodb", "influxdb", "superset", "jupyterhub", "dask", "seldon"],
    "ds_flavour": [
        "minio",
        "pachyderm",
        "arangodb",
        "influxdb",
        "superset",
        "dask",
        "seldon",
        "jupyterhub",
        "mlflow",
    ],
}


def options(found: Any, component: str) -> dict[str, Any]:
    return dict(found.flavour.components[component].options)


def failure(action: Any, kind: type[MillpondError] = DocumentError) -> tuple[str, str | None]:
    with pytest.raises(kind) as caught:
        action()
    return str(caught.value), caught.value.hint


def left_out(found: Any) -> list[str]:
    return [note.subject for note in found.notes if note.kind == "left out"]


def test_a_flavour_of_data_mill_is_known_by_its_project() -> None:
    assert is_datamill(read("project: {flavour: all}", "f"))
    assert not is_datamill(read("components: {mlflow: {}}", "f"))
    assert not is_datamill(read("", "f"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_flavours_are_accepted(name: str, small: Any) -> None:
    found = translate(SHIPPED / f"{name}.yaml", catalogue=small())
    assert list(found.components) == EXAMPLES[name]
    mapped = {note.subject for note in found.notes if note.kind == "mapped"}
    assert mapped == {"minio", "dask", "seldon", "mlflow"} & set(EXAMPLES[name])
    assert mapped | set(left_out(found)) == set(EXAMPLES[name])
    assert found.flavour.name == "data-mill"


def test_all_means_every_component_in_alphabetical_order(small: Any) -> None:
    found = translate(SHIPPED / "default.yaml", catalogue=small())
    assert len(found.components) == 32
    assert list(found.components) == sorted(mapping.entries())
    assert list(found.flavour.components) == ["gateway", "dask", "seaweedfs", "mlflow", "serving"]


def test_the_example_flavours_resolve_with_the_real_catalogue() -> None:
    catalogue = Catalogue()
    for path in SHIPPED.glob("*.yaml"):
        found = translate(path, catalogue=catalogue)
        assert "seaweedfs" in resolve(found.flavour, catalogue, found.document).nodes


def test_what_runs_on_a_cluster_only_is_left_out(tree: Any) -> None:
    found = tree.translate("project: {flavour: 'minio, jupyterhub'}\n", catalogue=Catalogue())
    assert list(found.flavour.components) == ["seaweedfs"]
    assert str(found.notes[-1]) == "jupyterhub is left out: it runs on a cluster only"


def test_what_is_left_out_is_named_with_its_reason(tree: Any, small: Any) -> None:
    text = "project: {flavour: 'minio, kafka metallb'}\n"
    found = tree.translate(text)
    assert [(str(note), note.place.column) for note in found.notes] == [
        ("seaweedfs stands in for minio", 21),
        ("kafka is left out: the catalogue has no component kafka yet", 28),
        ("metallb is left out: it gives a cluster's load balancers their addresses", 34),
    ]
    assert list(tree.translate(text, catalogue=small(kafka={})).flavour.components) == ["seaweedfs", "kafka"]


@pytest.mark.parametrize(
    "flavour",
    [
        "minio, mlflow,dask",
        "minio mlflow  dask",
        "'minio, mlflow dask'",
        "[minio, mlflow, dask]",
        "\n    - minio\n    - mlflow\n    - dask",
        "minio, mlflow, dask, minio  # a remark",
    ],
)
def test_the_list_may_have_commas_blanks_or_items(tree: Any, flavour: str) -> None:
    assert list(tree.translate(f"project:\n  flavour: {flavour}\n").components) == ["minio", "mlflow", "dask"]


def test_an_empty_list_means_all(tree: Any) -> None:
    assert len(tree.translate("project:\n").components) == 32
    assert len(tree.translate("project:\n  flavour:\n").components) == 32


def test_all_means_the_folders_where_there_are_some(tree: Any) -> None:
    tree.write("infrastructure/components/minio/config.yaml", "minio: {release: lake}")
    tree.write("infrastructure/components/dask/setup.sh")
    (tree.root / "infrastructure/components/empty").mkdir()
    found = tree.translate("project: {flavour: all}")
    assert list(found.components) == ["dask", "minio"]
    assert found.components["minio"].config.release == "lake"


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("jupyterhub", "jupyterhub"),
        ("jhub", "jupyterhub"),
        ("elastic", "elasticsearch"),
        ("elasticsearch", "elasticsearch"),
        ("monitoring", "monitoring-stack"),
        ("monitoring-stack", "monitoring-stack"),
        ("nginx_ingress", "nginx-ingress"),
        ("nginx-ingress", "nginx-ingress"),
    ],
)
def test_a_component_is_configured_under_both_names(tree: Any, section: str, name: str) -> None:
    found = tree.translate(f"project: {{flavour: {name}}}\n{section}: {{release: mine}}\n")
    assert found.components[name].config.release == "mine"


def test_both_names_at_once_are_refused(tree: Any) -> None:
    text = "project: {flavour: jupyterhub}\njhub: {release: a}\njupyterhub: {release: b}\n"
    message, hint = failure(lambda: tree.translate(text))
    assert message.endswith("own.yaml:3:1: jupyterhub and jhub both configure jupyterhub")
    assert hint == "write the keys under one of them"


def test_overrides_merge(tree: Any) -> None:
    tree.write(
        "infrastructure/components/mlflow/config.yaml",
        """
        mlflow:
            release: default
            setup_timeout: 500
            artifact_store:
                type: minio
                bucket: mlflow   # the default bucket
        """,
    )
    tree.write("infrastructure/components/mlflow/own.yaml", "mlflow: {release: of-flavour, version: 1.5}")
    text = "project: {flavour: mlflow}\nmlflow:\n  artifact_store:\n    bucket: experiments\n"
    found = tree.translate(text)
    config = found.components["mlflow"].config
    assert config.specific == {"artifact_store": {"type": "minio", "bucket": "experiments"}}
    assert config.conventional == {"release": "of-flavour", "version": "1.5", "setup_timeout": 500}
    assert options(found, "mlflow") == {"bucket": "experiments"}


def test_the_project_may_name_another_default_file(tree: Any) -> None:
    tree.write("infrastructure/components/mlflow/small.yaml", "mlflow: {artifact_store: {bucket: tiny}}")
    text = "project: {flavour: mlflow, component_default_config: small.yaml}"
    assert options(tree.translate(text), "mlflow") == {"bucket": "tiny"}
    (tree.root / "infrastructure/components/mlflow/small.yaml").rename(
        tree.root / "infrastructure/components/mlflow/other.yaml"
    )
    message, _ = failure(lambda: tree.translate(text))
    assert "own.yaml:1:54: mlflow is not configured: " in message
    assert message.endswith("components/mlflow/small.yaml does not exist")


VALUES = "worker: {replicas: '%d'}\n"
WITH_VALUES = "project:\n  flavour: dask\n%sdask:\n  config_file: dask_values.yaml\n"


def test_values_in_the_flavours_own_folder(tree: Any) -> None:
    """The first of the three layouts: a folder for each flavour."""
    tree.write("infrastructure/flavours/mine/dask_values.yaml", VALUES % 5)
    tree.write("infrastructure/components/dask/dask_values.yaml", VALUES % 7)
    path = tree.flavour(WITH_VALUES % "", "infrastructure/flavours/mine/mine.yaml")
    found = translate(path)
    assert options(found, "dask") == {"workers": 5}
    assert found.components["dask"].values_file == path.parent / "dask_values.yaml"


def test_values_in_the_config_folder(tree: Any) -> None:
    """The second layout: one folder for all flavours."""
    tree.write("infrastructure/flavours/values/dask_values.yaml", VALUES % 6)
    assert options(tree.translate(WITH_VALUES % "  config_folder: values\n"), "dask") == {"workers": 6}


def test_values_in_the_components_folder(tree: Any) -> None:
    """The third layout: neither of both."""
    tree.write("infrastructure/components/dask/dask_values.yaml", VALUES % 7)
    assert options(tree.translate(WITH_VALUES % ""), "dask") == {"workers": 7}


def test_folders_expand_the_home_directory(tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tree.root / "home"))
    tree.write("home/values/dask_values.yaml", VALUES % 4)
    tree.write("home/kube.config")
    text = WITH_VALUES % "  config_folder: ~/values\n" + 'hybrid:\n  config: "~/kube.config"\n'
    found = tree.translate(text, location="hybrid")
    assert options(found, "dask") == {"workers": 4}
    assert found.kubeconfig == tree.root / "home/kube.config"


def test_values_that_do_not_fit_are_told_where_they_stand(tree: Any) -> None:
    tree.write("infrastructure/components/dask/dask_values.yaml", "worker:\n    replicas: many\n")
    message, hint = failure(lambda: tree.translate(WITH_VALUES % ""))
    assert message.endswith("dask_values.yaml:2:15: dask.worker.replicas must be an integer, not 'many'")
    assert hint == "Workers"


@pytest.mark.parametrize(
    ("text", "location", "message"),
    [
        (WITH_VALUES % "", "local", "4:16: the values file dask_values.yaml of dask does not exist"),
        (
            "project:\n  config_folder: nowhere\n",
            "local",
            "2:18: the folder nowhere does not exist",
        ),
        (
            "project:\n  k8s_default_config: mine.yaml\n",
            "local",
            "2:23: the target's file mine.yaml does not exist",
        ),
        (
            "project: {flavour: minio}\nhybrid:\n  config: ~/no/such.config\n",
            "hybrid",
            "3:11: the kubeconfig ~/no/such.config does not exist",
        ),
    ],
)
def test_a_file_that_is_named_and_missing_is_an_error_at_its_place(
    tree: Any, text: str, location: str, message: str
) -> None:
    assert failure(lambda: tree.translate(text, location=location))[0].endswith(f"own.yaml:{message}")


def test_files_that_data_mill_ships_need_not_be_there(tree: Any) -> None:
    text = """
        project: {flavour: "minio, kafka", k8s_default_config: default_uc.yaml}
        minio: {config_file: minio_config.yaml}
        kafka: {release: kafka, config_file: kafka_config.yaml}
        """
    found = tree.translate(text)
    assert found.components["kafka"].config.config_file == "kafka_config.yaml"
    assert found.components["minio"].values_file is None
    assert found.target is not None and found.target.model_dump(exclude_unset=True) == {
        "provider": "microk8s"
    }


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("project:\n  flavor: all\n", "2:3: unknown key flavor", "did you mean flavour?"),
        ("project: {proxy_port: http}", "1:23: project.proxy_port must be a whole number, not 'http'", None),
        ("projekt: {}\nproject: {}\n", "1:1: unknown section projekt", "did you mean project?"),
        ("project: {}\nlocla: {}\n", "2:1: unknown section locla", "did you mean local?"),
        ("project: {}\nmlfow: {}\n", "2:1: unknown section mlfow", "did you mean mlflow?"),
        ("project: {}\nlocal:\n  cpu: 2\n", "3:3: unknown key cpu", "did you mean cpus?"),
        (
            "project: {}\nlocal: {provider: minikub}\n",
            "2:19: local.provider must be 'minikube' or 'microk8s', not 'minikub'",
            "did you mean minikube?",
        ),
        ("project: {}\nremote: {nodes: 2}\n", "2:10: unknown key nodes", "did you mean no_nodes?"),
        ("project: {}\nhybrid: {confg: x}\n", "2:10: unknown key confg", "did you mean config?"),
        (
            "project:\n  flavour: minio, kafak, dask\n",
            "2:19: no component is called kafak",
            "did you mean kafka?",
        ),
        (
            "project:\n  flavour:\n  - minio\n  - kafak\n",
            "4:5: no component is called kafak",
            "did you mean kafka?",
        ),
        (
            "project: {}\nmlflow: {setup_timeout: soon}\n",
            "2:25: setup_timeout must be a whole number, not 'soon'",
            None,
        ),
        ("project: {}\nmlflow: 3\n", "2:9: mlflow must be a mapping (key: value), not 3", None),
        ("project: {}\nproject: {}\n", "2:1: project stands twice, first in line 1", None),
    ],
)
def test_mistakes_have_their_place_and_a_hint(tree: Any, text: str, message: str, hint: str | None) -> None:
    found, told = failure(lambda: tree.translate(text))
    assert found.endswith(f"own.yaml:{message}")
    assert told == hint


def test_lists_hyphens_remarks_and_four_spaces_are_plain_yaml(tree: Any) -> None:
    text = """
        project:
            flavour: all   # everything
            k8s_namespace: my-mill # ours
        monitoring-stack:
            release: watch   # a remark
            hosts:
                - one
                - two
        remote:
            zones:
                - us-east-1a
                - us-east-1b
        """
    found = tree.translate(text, location="remote")
    assert found.flavour.name == "my-mill"
    assert found.components["monitoring-stack"].config.model_dump(exclude_unset=True) == {
        "release": "watch",
        "hosts": ["one", "two"],
    }
    assert found.target is not None and found.target.zones == ["us-east-1a", "us-east-1b"]  # type: ignore[union-attr]


def test_one_components_keys_do_not_leak_into_another(tree: Any) -> None:
    found = tree.translate("project: {flavour: 'minio, dask'}\nminio: {release: lake}\n")
    assert found.components["dask"].config.release is None


def test_a_section_that_means_nothing_is_left_out_and_named(tree: Any) -> None:
    found = tree.translate("project: {flavour: minio}\nweather: {sun: true}\n")
    assert "weather" in left_out(found)


class TestTargets:
    INLINE = "project: {flavour: minio, k8s_default_config: other.yaml}\nlocal: {cpus: 3}\n"

    def test_the_option_comes_first(self, tree: Any) -> None:
        tree.write("infrastructure/k8s/configs/mine.yaml", "local: {cpus: 9}")
        assert tree.translate(self.INLINE, target_file="mine.yaml").target.cpus == 9
        path = tree.write("elsewhere/t.yaml", "local: {cpus: 8}\nremote: {provider: aws}\n")
        assert tree.translate(self.INLINE, target_file=str(path)).target.cpus == 8

    def test_then_the_flavour(self, tree: Any) -> None:
        assert tree.translate(self.INLINE).target.cpus == 3

    def test_then_the_projects_default(self, tree: Any) -> None:
        tree.write("infrastructure/k8s/configs/other.yaml", "local: {cpus: 5}\nremote: {provider: gke}\n")
        text = self.INLINE.splitlines()[0]
        assert tree.translate(text).target.cpus == 5
        assert tree.translate(self.INLINE, location="remote").target.provider == "gke"

    def test_this_machine_needs_no_description(self, tree: Any) -> None:
        found = tree.translate("project: {flavour: minio}")
        assert found.target is None and found.flavour.target == "local"

    def test_a_cluster_does(self, tree: Any) -> None:
        message, hint = failure(
            lambda: tree.translate("project: {}\nlocal: {cpus: 2}\n", location="remote"), MillpondError
        )
        assert message.endswith("own.yaml does not describe a remote target")
        assert hint and "-t" in hint

    def test_a_file_must_describe_the_location(self, tree: Any) -> None:
        tree.write("infrastructure/k8s/configs/mine.yaml", "remote: {provider: aws}")
        message, _ = failure(lambda: tree.translate(self.INLINE, target_file="mine.yaml"))
        assert message.endswith("mine.yaml:1:1: it does not describe a local target")

    def test_a_missing_file_is_a_wrong_call(self, tree: Any) -> None:
        message, _ = failure(lambda: tree.translate(self.INLINE, target_file="no.yaml"), UsageError)
        assert message == "-t: there is no file no.yaml"


class TestOneComponent:
    def test_it_joins_where_the_flavour_does_not_have_it(self, tree: Any) -> None:
        found = tree.translate("project: {flavour: minio}", component="mlflow")
        assert list(found.flavour.components) == ["seaweedfs", "mlflow"]
        assert found.selected == "mlflow"

    def test_it_may_be_in_the_flavour(self, tree: Any) -> None:
        found = tree.translate("project: {flavour: 'minio dask'}", component="minio")
        assert list(found.components) == ["minio", "dask"]
        assert found.selected == "seaweedfs"

    def test_it_may_be_called_by_any_of_its_names(self, tree: Any, small: Any) -> None:
        found = tree.translate("project: {flavour: minio}", component="jhub", catalogue=small(jupyterhub={}))
        assert found.selected == "jupyterhub"

    def test_an_unknown_one_is_a_wrong_call(self, tree: Any) -> None:
        message, hint = failure(lambda: tree.translate("project: {}", component="mlfow"), UsageError)
        assert (message, hint) == ("-c: no component is called mlfow", "did you mean mlflow?")

    def test_one_without_a_counterpart_says_so(self, tree: Any) -> None:
        message, _ = failure(lambda: tree.translate("project: {}", component="pachyderm"), UsageError)
        assert message == "-c pachyderm: the catalogue has no component pachyderm yet"


class TestOptions:
    def test_the_data_folders_folders_are_buckets(self, tree: Any) -> None:
        for name in ("examples", "sales", "Not A Bucket"):
            (tree.root / "infrastructure/data" / name).mkdir(parents=True)
        tree.write("infrastructure/components/minio/config.yaml", "minio: {release: lake}")
        found = tree.translate("project: {flavour: minio, data_folder: data}")
        assert options(found, "seaweedfs") == {"buckets": ["raw", "examples", "sales"]}
        loads = [(Path(item.source).name, item.to) for item in found.flavour.data]
        assert loads == [("examples", "examples"), ("sales", "sales")]

    def test_without_a_store_the_data_folder_is_not_loaded(self, tree: Any) -> None:
        (tree.root / "infrastructure/data/examples").mkdir(parents=True)
        assert tree.translate("project: {flavour: dask, data_folder: data}").flavour.data == []

    def test_buckets_of_the_values_file_are_made_too(self, tree: Any) -> None:
        tree.write(
            "infrastructure/flavours/v.yaml",
            "buckets: [{name: b1}, {name: b2}]\ndefaultBucket: {enabled: true, name: b3}\n",
        )
        found = tree.translate("project: {flavour: minio}\nminio: {config_file: v.yaml}\n")
        assert options(found, "seaweedfs") == {"buckets": ["raw", "b1", "b2", "b3"]}

    def test_an_option_of_millponds_own_may_stand_there_too(self, tree: Any) -> None:
        found = tree.translate("project: {flavour: mlflow}\nmlflow: {workers: 4}\n")
        assert options(found, "mlflow") == {"workers": 4}

    def test_a_key_without_an_option_is_left_out_and_named(self, tree: Any) -> None:
        found = tree.translate("project: {flavour: dask}\ndask: {release: d, autoscale: {max: 9}}\n")
        assert [str(note) for note in found.notes if note.kind == "left out"] == [
            "dask.autoscale.max is left out: dask has no such option"
        ]

    def test_keys_that_only_a_cluster_reads_are_kept_quietly(self, tree: Any) -> None:
        text = "project: {flavour: minio}\nminio: {release: lake, storage_class: fast}\nlocal: {cpus: 2}\n"
        found = tree.translate(text)
        assert not left_out(found)
        assert [str(note) for note in found.kept] == [
            "minio: release lake, storage_class fast (for a cluster)",
            "local: cpus 2 (for a cluster)",
        ]

    def test_places_lead_back_into_data_mills_files(self, tree: Any) -> None:
        path = tree.flavour("project: {flavour: mlflow}\nmlflow:\n  artifact_store:\n    bucket: b\n")
        found = translate(path)
        place = found.document.place(("components", "mlflow", "bucket"))
        assert (place.source, place.line, place.column) == (str(path), 4, 13)


class TestOwnComponents:
    def test_a_folder_beside_the_flavour_is_a_component(self, tree: Any, small: Any) -> None:
        tree.write("infrastructure/components/my-etl/config.yaml", "etl: {release: etl, size: 3}")
        text = "project: {flavour: 'minio, my-etl'}\netl: {size: 4}\n"
        found = tree.translate(text)
        assert found.components["my-etl"].config.specific == {"size": 4}
        assert left_out(found) == ["my-etl"]
        size = {"size": {"type": "integer", "default": 1, "help": "Size"}}
        found = tree.translate(text, catalogue=small(**{"my-etl": size}))
        assert options(found, "my-etl") == {"size": 4}

    def test_a_configuration_of_something_else_is_refused(self, tree: Any) -> None:
        path = tree.write("infrastructure/components/dask/config.yaml", "a: {}\nb: {}\n")
        message, hint = failure(lambda: tree.translate("project: {flavour: dask}"))
        assert message == f"{path}:1:1: nothing here configures dask"
        assert hint == "write a section dask:"


class TestFinding:
    def test_a_path_or_a_bare_name(self, tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tree.flavour("project: {}", "infrastructure/flavours/own.yaml")
        folder = tree.flavour("project: {}", "flavours/team/team.yaml")
        for wanted in ("own", "own.yaml", "infrastructure/flavours/own.yaml", str(path)):
            assert find_flavour(wanted, tree.root) == path
        assert find_flavour("team", tree.root) == folder
        monkeypatch.setenv("HOME", str(tree.root))
        assert find_flavour("~/infrastructure/flavours/own.yaml", Path("/")) == path

    def test_the_examples_are_found_from_everywhere(self, tree: Any) -> None:
        assert find_flavour("default", tree.root) == SHIPPED / "default.yaml"
        assert find_flavour("ds_flavour.yaml", tree.root) == SHIPPED / "ds_flavour.yaml"

    def test_ones_own_default_comes_first(self, tree: Any) -> None:
        path = tree.flavour("project: {}", "flavours/default.yaml")
        assert find_flavour("default", tree.root) == path

    def test_a_slip_is_answered_with_the_closest_name(self, tree: Any) -> None:
        message, hint = failure(lambda: find_flavour("datalake_flavor", tree.root), MillpondError)
        assert (message, hint) == (
            "there is no flavour datalake_flavor",
            "did you mean datalake_flavour?",
        )


def test_a_flavour_that_cannot_be_read_says_so(tree: Any) -> None:
    message, _ = failure(lambda: translate(tree.root / "no.yaml"), MillpondError)
    assert message.endswith("no.yaml cannot be read: No such file or directory")


def test_every_component_of_data_mill_is_known() -> None:
    names = """ambassador arangodb argo cassandra dask druid elasticsearch flink grafana horovod influxdb
        jupyterhub kafka kibana kubebox kubedb kubeflow kubemq longhorn metallb minio mlflow monitoring-stack
        nginx-ingress nifi pachyderm rabbitmq seldon spark storageos superset traefik"""
    assert sorted(mapping.entries()) == sorted(names.split())
