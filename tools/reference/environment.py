"""Every environment variable: what one may set, what user code finds, what steps and services are given."""

from __future__ import annotations

from millpond.catalogue import Catalogue
from reference.markdown import code, table

SETTINGS = {
    "MILLPOND_ENDPOINT": "The platform that `millpond submit` sends pipelines to",
    "MILLPOND_TOKEN": "What `millpond submit` shows there; `millpond token create` makes it",
    "MILLPOND_CACHE_DIR": "Where installs are kept and shared",
    "MILLPOND_USER": "Whom a component becomes that refuses to run as root, when Millpond is root: `nobody`",
    "MILLPOND_MAVEN_REPOSITORY": "The base URL of the Maven repository to take jars from",
    "MILLPOND_BASE_IMAGE": "The image that `millpond images` builds on; it must have python3.11",
    "MILLPOND_CUDA_BASE_IMAGE": "The image under those for GPUs; it needs no Python",
    "MILLPOND_DEBUG": "Anything: print the traceback of a mistake in Millpond, do not write it to a file",
    "MILLPOND_INSIDE": "Set by Millpond for a command that goes on in another environment: its name",
    "MILLPOND_LAKE_ROOT": "A folder in place of the lake: pipeline code then needs no object store",
    "MILLPOND_REPOSITORIES": "Where versioned repositories are: `BUCKET` or `BUCKET/PREFIX`; `repositories`",
    "MILLPOND_LAKE_KEY_FILE": "The keys that open encrypted repositories; `~/.config/millpond/lake.key`",
    "MILLPOND_LOG": "The level at which model servers and their controller log: `info`",
    "XDG_CONFIG_HOME": "The folder for settings in general, `~/.config`",
    "XDG_CACHE_HOME": "The folder for caches in general, on Linux",
    "KUBECONFIG": "Files with clusters and contexts; `millpond cluster` writes to the first of them",
    "KIND_EXPERIMENTAL_PROVIDER": "The container engine of kind, which `millpond cluster` asks too",
    "NO_COLOR": "Anything: print without colour",
    "FORCE_COLOR": "Anything: print with colour also where there is no terminal",
}

USER_CODE = {
    "MILLPOND_PROJECT": "The folder of the flavour file",
    "MILLPOND_SHELL": "In what `millpond shell` started: the component's name, or the platform's",
    "MLFLOW_DISABLE_TELEMETRY": "`true`, where there is a tracking server",
}

STEPS = {
    "MILLPOND_RUN": "The run's id, for a command",
    "MILLPOND_STEP": "The step's name, for a command",
    "MILLPOND_INPUT_PORT": "The local file of the input PORT, for a command",
    "MILLPOND_OUTPUT_PORT": "Where a command writes the output PORT",
    "MILLPOND_FORWARD": "Set for the runner: names of more variables for steps, joined by commas",
    "MILLPOND_ENVIRONMENT_KEY": "The hash of the lock that the step's environment was made from",
}

SERVICES = {
    "MILLPOND_SUPERVISED": "`SERVICE@RUN`, in every process of a platform, so that none is lost",
    "MILLPOND_COMPONENT": "The name that the flavour gives to model serving",
    "MILLPOND_RUN_DIR": "The supervisor's folder, for model serving and pipelines",
    "MILLPOND_PIPELINES_DATA": "Where the component pipelines keeps what was handed over to it",
    "MILLPOND_PIPELINES_PASSWORD": "The password of its API, which the gateway presents",
    "MILLPOND_SERVING_DATA": "Where model serving keeps its deployments",
    "MILLPOND_SERVING_PORTS": "The range of ports for model servers, FIRST-LAST",
    "MILLPOND_ROUTER_PORT": "Where inference graphs answer, and requests wait for a sleeping model",
    "MILLPOND_MONITOR_PORT": "Where the monitor of predictions answers",
    "MILLPOND_LOG_BUCKET": "The bucket that logged predictions are kept in",
    "MILLPOND_GATEWAY_API": "Where routes are put",
    "MILLPOND_GATEWAY_TOKEN": "The bearer token for putting routes",
    "MILLPOND_GATEWAY_USER": "The name to sign in with, for the gateway's agent",
    "MILLPOND_GATEWAY_PASSWORD": "The password to sign in with, for the gateway's agent",
    "MILLPOND_SERVING_ROUTES": "On a cluster: the routes that a Job puts at the platform's gateway, as JSON",
    "MILLPOND_GATEWAY_BIND": "The address that the gateway listens on; the loopback address",
    "MILLPOND_GATEWAY_DOMAIN": "The gateway's hosts are `NAME.DOMAIN`; `localhost`",
    "MILLPOND_GATEWAY_HTTPS": "`true`: the entrance in front of the gateway speaks TLS, so links are https",
    "MILLPOND_GATEWAY_PUBLIC_PORT": "The port that the gateway's links name; under another domain than "
    "`localhost` it is the scheme's own",
    "MILLPOND_GATEWAY_ROUTES": "A JSON file of the platform's routes, read when the gateway's agent starts",
    "MILLPOND_GATEWAY_ACCESS_LOG": "`true`: the gateway logs each request",
}

TESTS = {
    "MILLPOND_SCIENCE_PYTHON": "An interpreter with the science environment, instead of installing it",
    "MILLPOND_TEST_PROJECT": "The folder of a starter platform that is up, instead of bringing one up",
    "MILLPOND_TEST_IMAGE": "An image with Debian and Python on a cluster's nodes, for `pytest -m cluster`",
    "MILLPOND_TEST_STORAGE_CLASS": "The StorageClass of that suite's volumes, where not the default one",
    "MILLPOND_INFERENCE": "A model server to test: `http://HOST:PORT[#HOST-HEADER]/NAME`",
    "MILLPOND_INFERENCE_GRPC": "Its gRPC address, `HOST:PORT`, where it has one",
    "MILLPOND_SCREENSHOTS": "Where the browser tests keep pictures",
}


def _rows(found: dict[str, str]) -> list[tuple[str, str]]:
    return [(code(name), meaning) for name, meaning in found.items()]


def page() -> str:
    """All variables, by who reads them."""
    heads = ("variable", "meaning")
    interfaces = [
        (code(variable), f"[{interface.name}](interfaces.md#{interface.name})", _secret(interface, template))
        for interface in Catalogue().interfaces.values()
        for variable, template in interface.env.items()
    ]
    return "\n".join(
        [
            "# Environment variables",
            "",
            "## What you may set",
            "",
            table(heads, _rows(SETTINGS)),
            "",
            "## What user code finds",
            "",
            "`millpond env` prints these, `millpond shell` starts a program with them, and pipeline",
            "steps have them. Each interface of the platform brings its own.",
            "",
            table(("variable", "of the interface", "secret"), interfaces),
            "",
            table(heads, _rows(USER_CODE)),
            "",
            "## What steps find besides",
            "",
            table(heads, _rows(STEPS)),
            "",
            "## What Millpond's own services are told",
            "",
            "They are set by the components; nobody has to set them.",
            "",
            table(heads, _rows(SERVICES)),
            "",
            "## What the tests read",
            "",
            table(heads, _rows(TESTS)),
        ]
    )


def _secret(interface: object, template: str) -> str:
    properties = getattr(interface, "properties", {})
    name = template.removeprefix("${").removesuffix("}")
    return "yes" if name in properties and properties[name].secret else ""
