"""The files that people write: flavour, component, interface, pipeline. From their pydantic models."""

from __future__ import annotations

import json

from pydantic import BaseModel

from millpond.model import cluster as clusters
from millpond.model import component as parts
from millpond.model import expression, scope
from millpond.model import flavour as flavours
from millpond.model import interface as contracts
from millpond.model.option import Option
from millpond.pipelines import document, extension, parameters
from millpond.pipelines.schema import schema
from reference.markdown import code, keys, table

READING = """\
Unknown keys are refused with file, line and column, and the nearest word that would have been right; all
mistakes of a file are told at once. YAML is read as its 1.2 core schema says: `on`, `yes` and `12:30` are
text, a key that stands twice is refused."""


def _sections(models: dict[type[BaseModel], str]) -> list[str]:
    found = []
    for model, title in models.items():
        text = " ".join((model.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")
        found += [f"## {title}", "", text, "", keys(model, models), ""]
    return found


def flavour() -> str:
    """The flavour file."""
    models: dict[type[BaseModel], str] = {
        flavours.Flavour: "The file",
        flavours.Selection: "A component of the flavour",
        flavours.Data: "Data for the lake",
        flavours.Rules: "The lake's users and rights",
        flavours.Project: "A project's bucket",
        flavours.FromElsewhere: "A value from elsewhere",
        clusters.Cluster: "The cluster",
        clusters.Routes: "Routes from outside",
        clusters.Gpu: "GPUs",
        clusters.Policies: "Policies",
        parts.Resources: "Resources",
    }
    return "\n".join(
        [
            "# The flavour file",
            "",
            "`millpond.yaml` names a platform. It is found in the folder of the command or the nearest",
            "one above; `-f` names another. `millpond init` writes a commented one.",
            "",
            READING,
            "",
            "```yaml flavour",
            "name: small",
            "components:",
            "  mlflow: {workers: 2}     # its own options stand directly under its name",
            "  gateway:                 # nothing after the name means the defaults",
            "external:",
            "  s3:",
            "    endpoint: http://127.0.0.1:9000",
            "    access_key: {env: STORE_KEY}",
            "    secret_key: {file: ~/.secrets/store}",
            "```",
            "",
            *_sections(models),
            "All other keys of a component are its options, which [components](components.md) lists.",
            f"Never options are {', '.join(code(word) for word in sorted(parts.RESERVED))}.",
            "",
            "A secret property of `external` never stands in the file itself:",
            "it is `{env: NAME}` or `{file: PATH}`.",
        ]
    )


def component() -> str:
    """The component file."""
    models: dict[type[BaseModel], str] = {
        parts.Component: "The file",
        Option: "An option",
        parts.Requirement: "A requirement",
        parts.Provision: "A provision",
        parts.Service: "The service",
        parts.Install: "Installs",
        parts.Process: "A process",
        parts.Probe: "A probe",
        parts.Stop: "Stopping",
        parts.Job: "A job",
        parts.Volume: "A volume",
        parts.File: "A file",
        parts.Secret: "A secret",
        parts.Grant: "A grant: a secret for an asker",
        parts.Open: "What a browser opens",
        parts.SignIn: "Credentials",
        parts.Resources: "Resources",
        parts.Chart: "A chart",
        parts.ChartEndpoint: "Where a chart answers",
        parts.Status: "Status",
    }
    roots = [
        ("`${options.NAME}`", "an option's value; a list is joined by commas"),
        ("`${ports.NAME}`", "the number of a port of its own"),
        ("`${bind}`", "the address that its processes listen on"),
        (
            "`${endpoints.PORT.PART}`",
            f"its address for whoever asks; PART is {', '.join(code(part) for part in scope.ENDPOINT_PARTS)}",
        ),
        ("`${secrets.NAME}`", "a secret of its own"),
        ("`${volumes.NAME}`", "a volume's folder"),
        ("`${files.NAME}`", "the path of a file that was made for it"),
        (
            "`${install.KIND}`",
            f"where its install is; KIND is {', '.join(code(name) for name in scope.INSTALL_KINDS)}",
        ),
        ("`${folder}`", "the component's own folder"),
        ("`${platform.FACT}`", f"FACT is {', '.join(code(fact) for fact in scope.FACTS)}"),
        (
            "`${gpu.PART}`",
            "in a chart's values alone, as a whole value: what the flavour says of GPUs; PART is "
            + ", ".join(code(part) for part in scope.GPU_PARTS),
        ),
        ("`${node}`", "the name that the component has in the flavour"),
        ("`${REQUIREMENT.PROPERTY}`", "a property of what meets a requirement; empty where nothing does"),
        (
            "`${request.NAME}`, `${grant.NAME}`, `${asker}`",
            "under `provides` alone: what the asker requested, its own secret, its name",
        ),
    ]
    return "\n".join(
        [
            "# The component file",
            "",
            "One folder, `NAME/component.yaml`, and the files that it names. [Add a",
            "component](../guides/add-a-component.md) makes one; [components](components.md) lists those",
            "that ship.",
            "",
            READING,
            "",
            *_sections(models),
            "A service of one process may write the keys of its process directly under `service`. All",
            "other keys of a requirement are what it requests of the provider; all other keys of a",
            "provision are the interface's properties.",
            "",
            "## Expressions",
            "",
            "Every text under `requires`, `provides` and `service` may speak of the platform. What it",
            "speaks of is checked when the file is read; `$${` is a literal `${`.",
            f"A filter follows a bar: {', '.join(code('${x|' + name + '}') for name in expression.FILTERS)}.",
            "In a chart's values a text that is one option alone keeps its type, and one that ends in",
            "`number` or `majority` (more than half of that many) is a number.",
            "",
            table(("expression", "what it is"), roots),
        ]
    )


def interface() -> str:
    """The interface file."""
    models: dict[type[BaseModel], str] = {
        contracts.Interface: "The file",
        contracts.Property: "A property",
        contracts.RequestField: "A request",
        contracts.Check: "The check",
    }
    return "\n".join(
        [
            "# The interface file",
            "",
            "`interfaces/NAME.yaml` of the catalogue: a typed contract between components.",
            "[Interfaces](interfaces.md) lists those that ship.",
            "",
            READING,
            "",
            *_sections(models),
            "Expressions in it name its own properties, as in `${host}`; a request's default may use",
            "`${platform.name}` alone.",
        ]
    )


TYPES = [
    (
        "`table`",
        "pandas.DataFrame",
        "DataFrame, pyarrow.Table",
        ".parquet or .csv, without index; needs a path",
    ),
    ("`json`", "dict, list, …", "the same", ".json, or by value"),
    ("`text`", "str", "str", ".txt, .md, or by value"),
    ("`number`", "int or float", "a number, also numpy's", ".json, or by value"),
    (
        "`model`",
        "ModelReference",
        "ModelReference, or what MLflow's `log_model` returns",
        "JSON, or by value",
    ),
    ("`file`", "pathlib.Path of a local copy", "Path or bytes", "the bytes; needs a path"),
    (
        "`reference`",
        "Reference; nothing is read",
        "Reference, or a path that the step wrote",
        "the reference",
    ),
]


def pipeline_schema() -> str:
    """The schema of the pipeline file, with the kinds and sinks that Millpond brings."""
    return json.dumps(schema(builtin_only=True), indent=1) + "\n"


def _first_line(kind: type[object]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def pipeline() -> str:
    """The pipeline file."""
    models: dict[type[BaseModel], str] = {
        document.Pipeline: "The file",
        parameters.Parameter: "A parameter",
        document.Step: "A step",
        document.Resources: "What a step may take",
        document.Output: "An output",
        document.Fork: "A further sink of an output",
        document.LakeInput: "An input from the lake",
        document.Dates: "Partitions by date, under `each`",
        document.Objects: "Partitions by object, under `each`",
        document.Schedule: "A schedule",
        document.Trigger: "A trigger",
    }
    found = [
        "# The pipeline file",
        "",
        "`pipeline.yaml` names steps with typed inputs and outputs. [A pipeline of your",
        "own](../guides/pipeline.md) makes one; [pipelines and caching](../concepts/pipelines.md)",
        "explains what happens when it runs. Editors complete and check the file by",
        "[its JSON Schema](pipeline.schema.json), or by `millpond pipeline schema` with what is installed.",
        "",
        READING,
        "",
        *_sections(models),
        "A duration is `500ms`, `30s`, `10m`, `1h`, or a number of seconds.",
        "",
        "## Kinds of step",
        "",
        "Other packages bring more of them by the entry point `millpond.steps`.",
        "",
    ]
    for name in extension.BUILTIN["millpond.steps"]:
        kind = extension.find("millpond.steps", name)
        found += [f"### use: {name}", "", _first_line(kind), "", keys(kind.keys, {}), ""]
    found += [
        "## Sinks",
        "",
        "Other packages bring more of them by the entry point `millpond.sinks`.",
        "",
    ]
    for name in extension.BUILTIN["millpond.sinks"]:
        sink = extension.find("millpond.sinks", name)
        found += [f"### sink: {name}", "", _first_line(sink), "", keys(sink.keys, {}), ""]
    found += [
        "## Types of ports",
        "",
        table(("type", "the function gets", "the function returns", "stored as"), TYPES),
        "",
        "Without `type`, an input of the lake is what its extension says: .parquet and .csv are tables,",
        ".json is JSON, .txt and .md are text, all else is a file.",
        "",
        "## Expressions",
        "",
        table(
            ("expression", "what it is"),
            [
                ("`${STEP.PORT}`", "an output of another step; in `inputs` and `results`"),
                ("`${parameters.NAME}`", "a parameter; alone it keeps its type, in text it is printed"),
                ("`${parameters.NAME.year}`, `.month`, `.day`", "parts of a date, with leading zeros"),
                ("`${each.NAME}`", "the item, in a step with `each`"),
                ("`${run.id}`", "the run; a path with it is written anew by every run"),
                ("`${inputs.PORT}`, `${outputs.PORT}`", "local files, in a command's `run` alone"),
            ],
        ),
    ]
    return "\n".join(found)
