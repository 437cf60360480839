"""Run in an environment that has ``kfp``: ``check.py FILE`` prints what that makes of an export, as JSON.

Reads both documents by their protobuf definitions, which refuse unknown fields; loads the file as the client
does before it uploads one; and compiles the same graph from Kubeflow's own language, with what the exported
file says of containers and pods.
"""

import json
import sys
import tempfile
from pathlib import Path

import yaml
from google.protobuf import json_format
from kfp import compiler, components, dsl, kubernetes
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

text = Path(sys.argv[1]).read_text()
pipeline, platform = yaml.safe_load_all(text)


def plain(message) -> dict:
    """A message as plain data, with nothing that is the default."""
    return json_format.MessageToDict(message)


def read(pipeline: dict, platform: dict) -> dict:
    """Both documents, read strictly and written back."""
    spec = json_format.ParseDict(pipeline, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    pods = {
        name: plain(json_format.ParseDict(config, kubernetes_executor_config_pb2.KubernetesExecutorConfig()))
        for name, config in executors.items()
    }
    return {"pipeline": plain(spec), "pods": pods}


def container(name: str) -> dict:
    """What the exported file says of a step's container."""
    return pipeline["deploymentSpec"]["executors"][f"exec-{name}"]["container"]


def spec_of(name: str, values: dict) -> dsl.ContainerSpec:
    """The container of a step, with its inputs as the language writes them."""
    found = container(name)
    args = []
    for word in found["args"]:
        for key, value in values.items():
            word = word.replace(f"{{{{$.inputs.parameters['{key}']}}}}", f"{value}")
        args.append(word)
    return dsl.ContainerSpec(image=found["image"], command=found["command"], args=args)


def step(name: str):
    """A component with the inputs that all steps have."""

    def body(
        start: int, many: list, size: str, mark: str, loud: bool, millpond_begun: str, millpond_run: str
    ):
        return spec_of(name, {**locals()})

    body.__name__ = name
    return dsl.container_component(body)


def dressed(task, name: str):
    """A task with what the exported file says of its pod, by the language's own calls."""
    pod = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"][f"exec-{name}"]
    found = container(name)
    for each in found["env"]:
        task.set_env_variable(each["name"], each["value"])
    resources = found["resources"]
    task.set_cpu_request(resources["resourceCpuRequest"]).set_cpu_limit(resources["resourceCpuLimit"])
    task.set_memory_request(resources["resourceMemoryRequest"])
    task.set_memory_limit(resources["resourceMemoryLimit"])
    task.set_caching_options(False)
    for mount in pod["emptyDirMounts"]:
        kubernetes.empty_dir_mount(task, mount["volumeName"], mount["mountPath"])
    for secret in pod["secretAsEnv"]:
        pairs = {key["secretKey"]: key["envVar"] for key in secret["keyToEnv"]}
        kubernetes.use_secret_as_env(task, secret["secretName"], pairs)
    for config in pod["configMapAsVolume"]:
        kubernetes.use_config_map_as_volume(task, config["configMapName"], config["mountPath"])
    for claim in pod["pvcMount"]:
        kubernetes.mount_pvc(task, claim["constant"], claim["mountPath"])
    kubernetes.set_image_pull_policy(task, pod["imagePullPolicy"])
    kubernetes.set_security_context(task, run_as_user=10001, run_as_group=10001, run_as_non_root=True)
    for key, value in pod["podMetadata"]["labels"].items():
        kubernetes.add_pod_label(task, key, value)
    return task


@dsl.pipeline(name="numbers", description="Numbers, some of them twice")
def numbers(
    start: int = 3,
    many: list = [1, 2],  # noqa: B006 - what the compiler reads
    size: str = "small",
    mark: str = "/nowhere",
    loud: bool = False,
):
    """The graph of the pipeline that the test exports.

    Args:
        start: The first number
        mark: A file that says that a step was tried before
    """
    given = {"start": start, "many": many, "size": size, "mark": mark, "loud": loud}
    given["millpond_begun"] = dsl.PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER
    given["millpond_run"] = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    first = dressed(step("first-one")(**given).set_display_name("first_one"), "first-one")
    twice = dressed(step("twice")(**given).after(first), "twice")
    twice.set_retry(2, backoff_duration="2s", backoff_factor=1.0, backoff_max_duration="2s")
    kubernetes.set_timeout(twice, 120)
    fan = dressed(step("fan")(**given).after(first), "fan")
    dressed(step("never")(**given).after(first), "never")
    dressed(step("table")(**given).after(twice, fan), "table")


components.load_component_from_text(text)
with tempfile.TemporaryDirectory() as place:
    compiler.Compiler().compile(numbers, f"{place}/numbers.yaml")
    theirs = list(yaml.safe_load_all(Path(place, "numbers.yaml").read_text()))
sys.stdout.write(json.dumps({"ours": read(pipeline, platform), "theirs": read(*theirs)}))
