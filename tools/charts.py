"""Notes what upstream charts take, for the tests: ``python tools/charts.py COMPONENT=FOLDER ...``.

COMPONENT is one of the catalogue's with a `chart` recipe, FOLDER its chart unpacked, of the version that the
recipe pins; after a comma may stand the folder of a chart that brings its definitions. What is written beside
the tests is no copy: the names of the values with their types, and of the CustomResourceDefinitions the
schemas of those kinds that the recipe has objects of, without their prose.

The file of a component, gzipped JSON, has

- ``chart`` and ``version``, those of the recipe, and ``source``, the version that the folder names: charts
  from a working tree often name none;
- ``values``, of the chart's own, its schema's and those that its templates ask for: a node, which is
  ``{"types": [...], "keys": {NAME: node}, "open": true}``. Without types anything fits; without keys, or
  where it is open, other names are right too;
- ``kinds``: the OpenAPI schemas by ``group/version Kind``.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from millpond.catalogue import Catalogue
from millpond.catalogue.loader import Entry

DATA = Path(__file__).resolve().parent.parent / "tests" / "kubernetes" / "charts" / "data"
TYPES = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
PROSE = ("description", "title", "example", "examples", "default", "x-kubernetes-validations")
Node = dict[str, Any]


def noted(folder: Path, kinds: set[tuple[str, str]], others: Iterable[Path] = ()) -> Node:
    """What a chart takes.

    Args:
        folder: the chart, unpacked.
        kinds: of which objects the schemas are wanted, as apiVersion and kind.
        others: charts that bring definitions before it.
    """
    chart = read(folder / "Chart.yaml")
    own = folder / "values.yaml"
    values = of_default((read(own) if own.is_file() else None) or {})
    for name in ("values.schema.json", "values.schema.yaml"):
        if (folder / name).is_file():
            schema = read(folder / name)
            merge(values, of_schema(schema, schema))
            break
    # Istio wraps its defaults, and takes them out again.
    wrapped = values.get("keys", {}).pop("_internal_defaults_do_not_set", None)
    if wrapped:
        merge(values, wrapped)
    for path in sorted((folder / "templates").rglob("*")):
        if path.is_file():
            asked_for(path.read_text(encoding="utf-8", errors="replace"), values)
    for dependency in chart.get("dependencies") or []:
        name = dependency.get("alias") or dependency["name"]
        values.setdefault("keys", {}).setdefault(name, {"types": ["object"]})["open"] = True
    return {
        "chart": chart["name"],
        "source": str(chart["version"]),
        "values": values,
        "kinds": dict(sorted(found for path in (folder, *others) for found in schemas(path, kinds))),
    }


def read(path: Path) -> Any:
    """A YAML or JSON file."""
    return yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)


def of_default(value: Any) -> Node:
    """The node of a default value: nothing is known of one that is null, or of an empty mapping's names."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        keys = {str(key): of_default(item) for key, item in value.items()}
        return {"types": ["object"], "keys": keys} if keys else {"types": ["object"], "open": True}
    return {"types": [TYPES.get(type(value), "string")]}


def of_schema(schema: Any, root: Any, within: tuple[str, ...] = ()) -> Node:
    """The node of a JSON schema; what is either this or that is both, and of what holds itself the inner part
    may be anything.
    """
    if not isinstance(schema, Mapping):
        return {}
    found: Node = {}
    if "$ref" in schema:
        name = str(schema["$ref"])
        if name in within:
            return {}
        within = (*within, name)
        target = root
        for word in name.removeprefix("#/").split("/"):
            target = target.get(word, {}) if isinstance(target, Mapping) else {}
        merge(found, of_schema(target, root, within))
    types = schema.get("type", [])
    if types:
        listed = [types] if isinstance(types, str) else types
        found["types"] = sorted({"number" if name == "integer" else name for name in listed})
    if "properties" in schema:
        found["keys"] = {name: of_schema(item, root, within) for name, item in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), Mapping) or "patternProperties" in schema:
        found["open"] = True
    for way in ("allOf", "anyOf", "oneOf"):
        for item in schema.get(way, []):
            merge(found, of_schema(item, root, within))
    return found


def merge(node: Node, other: Node) -> None:
    """Take up what another node says: types and names add up."""
    if "types" in node or "types" in other:
        node["types"] = sorted({*node.get("types", []), *other.get("types", [])})
    if other.get("open"):
        node["open"] = True
    for key, item in other.get("keys", {}).items():
        merge(node.setdefault("keys", {}).setdefault(key, {}), item)
    if other.get("keys") and not other.get("open"):
        # An empty mapping's names are not known until somebody says them.
        node.pop("open", None)


def asked_for(template: str, values: Node) -> None:
    """Take up the names that a template asks for and the chart's own values do not have."""
    for words in re.findall(r"\.Values\.([A-Za-z][\w.]*\w)", template):
        node = values
        for word in words.split("."):
            if "types" in node and "object" not in node["types"]:
                break
            node = node.setdefault("keys", {}).setdefault(word, {})


def schemas(folder: Path, kinds: set[tuple[str, str]]) -> Iterator[tuple[str, Any]]:
    """The schemas of these kinds, from the chart's definitions."""
    paths = [path for name in ("crds", "templates", "files") for path in (folder / name).rglob("*.yaml")]
    for path in sorted(paths):
        text = path.read_text(encoding="utf-8")
        if "kind: CustomResourceDefinition" not in text:
            continue
        # Some charts have them among their templates; of those lines none is in a schema.
        lines = [line for line in text.splitlines() if "{{" not in line]
        for crd in yaml.load_all("\n".join(lines), yaml.CSafeLoader):
            if not crd or crd.get("kind") != "CustomResourceDefinition":
                continue
            spec = crd["spec"]
            for version in spec["versions"]:
                name = f"{spec['group']}/{version['name']}"
                if (name, spec["names"]["kind"]) in kinds:
                    yield f"{name} {spec['names']['kind']}", bare(version["schema"]["openAPIV3Schema"])


def bare(schema: Any) -> Any:
    """A schema without its prose; a property that is called so stays."""
    if isinstance(schema, list):
        return [bare(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: {name: bare(item) for name, item in value.items()} if key == "properties" else bare(value)
        for key, value in schema.items()
        if key not in PROSE
    }


def kinds_of(entry: Entry) -> set[tuple[str, str]]:
    """The kinds that a recipe has objects of, as apiVersion and kind."""
    chart = entry.component.chart
    found = set()
    for name in chart.objects if chart else ():
        for obj in yaml.safe_load_all(entry.resource(name).read_text(encoding="utf-8")):
            found.add((obj["apiVersion"], obj["kind"]))
    return found


def write(path: Path, data: Node) -> None:
    """Write a file that is the same each time."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def main(arguments: list[str]) -> None:
    """Note each component's chart."""
    if not arguments or any("=" not in word for word in arguments):
        sys.exit(__doc__)
    catalogue = Catalogue()
    DATA.mkdir(exist_ok=True)
    for word in arguments:
        name, _, folder = word.partition("=")
        entry = catalogue.entry(name)
        recipe = entry.component.chart
        if recipe is None:
            sys.exit(f"{name} has no chart")
        own, *others = (Path(part) for part in folder.split(","))
        data = noted(own, kinds_of(entry), others) | {"version": recipe.version}
        write(DATA / f"{name}.json.gz", data)
        print(f"{name}: chart {data['chart']} {data['source']}, {len(data['kinds'])} kinds", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
