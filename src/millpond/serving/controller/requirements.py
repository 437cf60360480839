"""What a model says that it needs, and whether an environment has it."""

from __future__ import annotations

import logging
import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import yaml

from millpond.model.errors import MillpondError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Requirements:
    """A model's own words about its environment.

    Attributes:
        lines: one requirement each, and options such as ``-c constraints.txt``.
        source: the file that said so, relative to the model's folder; None when nothing did.
        python: the version of Python that the model was made with, or None.
        tools: what installed its packages, such as setuptools: older frameworks look into it at run time too.
    """

    lines: tuple[str, ...] = ()
    source: str | None = None
    python: str | None = None
    tools: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The packages that are named, in their normal form."""
        found = (re.match(r"[A-Za-z0-9][\w.-]*", line) for line in self.lines)
        return frozenset(normal(match[0]) for match in found if match)

    def other_python(self) -> str | None:
        """A sentence when the model was made with another Python than this one, as 3.10 is to 3.11."""
        if self.python is None or self.python.split(".")[:2] == [str(part) for part in sys.version_info[:2]]:
            return None
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        return f"the model was made with Python {self.python} and runs on {here}"


def read(folder: Path) -> Requirements:
    """What the files beside a model say: requirements.txt, else conda.yaml; python_env.yaml for Python.

    Raises:
        MillpondError: one of them cannot be read.
    """
    conda = _yaml(folder / "conda.yaml")
    python = _python(folder, conda)
    tools = _tools(folder)
    plain = folder / "requirements.txt"
    if plain.is_file():
        return Requirements(_lines(plain), plain.name, python, tools)
    if conda:
        packages = [each for each in conda.get("dependencies") or [] if isinstance(each, str)]
        pip: list[Any] = next(
            (
                each["pip"] or []
                for each in conda.get("dependencies") or []
                if isinstance(each, dict) and "pip" in each
            ),
            [],
        )
        others = [each for each in packages if not re.match(r"(python|pip)\b", each)]
        if others:
            log.warning("%s: what conda alone installs is left out: %s", folder, ", ".join(others))
        return Requirements(tuple(str(each) for each in pip), "conda.yaml", python, tools)
    return Requirements(python=python)


def missing(requirements: Requirements, folder: Path) -> str | None:
    """The first requirement that this interpreter's environment does not satisfy, with what it has; or
    None."""
    lines = list(requirements.lines)
    for line in requirements.lines:
        if constraints := constraint_of(line, folder):
            if not constraints.is_file():
                return line
            lines.remove(line)
            lines += [each for each in _lines(constraints) if _installed(each)]
    return next((lack for line in lines if (lack := _lack(line)) is not None), None)


def constraint_of(line: str, folder: Path) -> Path | None:
    """The file of a line ``-c FILE``, or None where the line is something else."""
    found = re.match(r"(?:-c|--constraint)[ =]\s*(\S+)", line)
    return folder / found[1] if found else None


def normal(name: str) -> str:
    """A package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _lack(line: str, extra: str = "") -> str | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        wanted = Requirement(line.split(" --hash")[0].strip())
    except InvalidRequirement:
        return line
    if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
        return None
    if wanted.url:
        return line
    try:
        there = distribution(wanted.name)
    except PackageNotFoundError:
        return f"{line} (there is none here)"
    if not wanted.specifier.contains(there.version, prereleases=True):
        return f"{line} (here it is {there.version})"
    for each in wanted.extras:
        for further in there.requires or []:
            if "extra" in further and (lack := _lack(further, each)) is not None:
                return lack
    return None


def _installed(line: str) -> bool:
    found = re.match(r"[A-Za-z0-9][\w.-]*", line)
    try:
        return found is not None and bool(distribution(found[0]))
    except PackageNotFoundError:
        return False


def _lines(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise MillpondError(f"{path.name} of the model cannot be read: {error}") from error
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = (" ".join(re.sub(r"(^|\s)#.*", "", line).split()) for line in joined.splitlines())
    return tuple(line for line in lines if line)


def _yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        first = str(error).splitlines()[0]
        raise MillpondError(f"{path.name} of the model cannot be read: {first}") from error
    return found if isinstance(found, dict) else {}


def _tools(folder: Path) -> tuple[str, ...]:
    said = _yaml(folder / "python_env.yaml").get("build_dependencies") or []
    found = [str(each) for each in said if re.match(r"setuptools\b", str(each))]
    # What older frameworks look for in it, pkg_resources, left it with version 82.
    return tuple("setuptools<82" if each == "setuptools" else each for each in found)


def _python(folder: Path, conda: dict[str, Any]) -> str | None:
    said = _yaml(folder / "python_env.yaml").get("python")
    if said is None:
        for each in conda.get("dependencies") or []:
            if isinstance(each, str) and (found := re.fullmatch(r"python\s*=+\s*([\d.]+).*", each)):
                said = found[1]
    return None if said is None else str(said)
