"""The rendered tree: plain YAML in a stable order, for kubectl, Argo CD and Flux.

One folder per unit, one file per object, numbered in the order in which they are applied; Argo CD's sync
waves say the order of the units. https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.bundle import Bundle, Object, Release, Unit
from millpond.targets.kubernetes.render import secretjob

MARKER = ".millpond-rendered"
"""Stands in a folder that a render wrote, so that the next one may replace it."""

WAVE = "argocd.argoproj.io/sync-wave"
_STEP = 10


def waves(bundle: Bundle) -> dict[str, int]:
    """The wave in which a unit's objects come: after those of all units that it waits for."""
    found: dict[str, int] = {}
    for name, unit in bundle.units.items():
        found[name] = max((found[other] + _STEP for other in unit.waits_for), default=0)
    return found


def files(
    bundle: Bundle,
    charts: Callable[[Release], Iterable[Object]] | None = None,
    deployments: Mapping[str, Iterable[Object]] | None = None,
) -> Iterator[tuple[str, str]]:
    """Every file of the tree: its path and its text.

    Args:
        bundle: what was rendered.
        charts: turns a release into objects; without it releases are left out.
        deployments: the objects of models, by deployment; they come after all units.
    """
    steps = waves(bundle)
    for index, (name, unit) in enumerate(bundle.units.items()):
        folder = f"{index:02d}-{name}"
        objects = list(_waved(unit, steps[name] if index else -_STEP, charts))
        if index == 0:
            objects += [(-_STEP + 1, found) for found in secretjob.objects(bundle)]
        yield from _numbered(folder, objects)
    last = max(steps.values(), default=0) + _STEP
    for name, models in (deployments or {}).items():
        yield from _numbered(f"{len(bundle.units):02d}-deployment-{name}", [(last, each) for each in models])


def _numbered(folder: str, objects: Iterable[tuple[int, Object]]) -> Iterator[tuple[str, str]]:
    for number, (wave, found) in enumerate(objects):
        metadata = dict(found["metadata"])
        metadata["annotations"] = {**metadata.get("annotations", {}), WAVE: str(wave)}
        text = as_yaml({**found, "metadata": metadata})
        yield f"{folder}/{number:02d}-{found['kind'].lower()}-{found['metadata']['name']}.yaml", text


def _waved(
    unit: Unit, wave: int, charts: Callable[[Release], Iterable[Object]] | None
) -> Iterator[tuple[int, Object]]:
    for found in unit.objects:
        yield wave, found
    if unit.release:
        for found in charts(unit.release) if charts else ():
            yield wave + 1, found
        for found in unit.release.objects:
            yield wave + 2, found
    for found in unit.then:
        yield wave + _STEP // 2, found


def as_yaml(data: Object) -> str:
    """An object as YAML, the keys in the order in which they were made."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=1000)
    return text


def write(
    bundle: Bundle,
    folder: Path,
    charts: Callable[[Release], Iterable[Object]] | None = None,
    deployments: Mapping[str, Iterable[Object]] | None = None,
) -> list[Path]:
    """Write the tree; what an earlier render wrote there and this one does not is removed.

    Raises:
        MillpondError: the folder has files that no render wrote.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise MillpondError(
            f"{folder} has files that `millpond render` did not write", hint="name a folder of its own"
        )
    # All of it is made before anything is replaced.
    texts = dict(files(bundle, charts, deployments))
    if folder.exists():
        for path in folder.iterdir():
            if path.is_dir() and path.name[:2].isdigit():
                shutil.rmtree(path)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text(f"{bundle.platform}\n")
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return [folder / name for name in texts]


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, and nothing by anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text and not any(line.endswith(" ") for line in text.split("\n")) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)

__all__ = ["MARKER", "as_yaml", "files", "waves", "write"]
