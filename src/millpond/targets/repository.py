"""Finds the Maven repository that stands for Maven Central on this machine.

In this order: the variable ``MILLPOND_MAVEN_REPOSITORY``; a mirror of ``central`` in the user's or Maven's
own ``settings.xml``, with the credentials given there; and what the installed Maven itself goes by, the
``central`` of its super POM.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

_VARIABLE = "MILLPOND_MAVEN_REPOSITORY"


@dataclass(frozen=True)
class Repository:
    """The base URL of a repository and the headers that open it; these may hold a secret."""

    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)


def find_repository() -> Repository | None:
    """The repository to download from, or None when this machine has no trace of one."""
    chosen = os.environ.get(_VARIABLE)
    if chosen:
        return Repository(chosen.rstrip("/"))
    for settings in _settings():
        mirror = _mirror(settings)
        if mirror:
            return mirror
    for home in _maven_homes():
        url = _super_pom(home)
        if url:
            return Repository(url)
    return None


def local_repository() -> Path:
    """The folder in which the user's own Maven keeps its jars."""
    for settings in _settings():
        text = _text(settings, "localRepository")
        if text:
            return Path(text.replace("${user.home}", str(Path.home()))).expanduser()
    return Path.home() / ".m2" / "repository"


def _settings() -> Iterator[ElementTree.Element]:
    for path in [
        Path.home() / ".m2" / "settings.xml",
        *(home / "conf" / "settings.xml" for home in _maven_homes()),
    ]:
        try:
            root = ElementTree.fromstring(path.read_bytes())
        except (OSError, ElementTree.ParseError):
            continue
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        yield root


def _mirror(settings: ElementTree.Element) -> Repository | None:
    for mirror in settings.iterfind("mirrors/mirror"):
        url = _text(mirror, "url")
        if url and _text(mirror, "blocked") != "true" and _mirrors_central(_text(mirror, "mirrorOf")):
            return Repository(url.rstrip("/"), _credentials(settings, _text(mirror, "id")))
    return None


def _mirrors_central(pattern: str) -> bool:
    words = [word.strip() for word in pattern.split(",")]
    return "!central" not in words and not {"*", "central", "external:*"}.isdisjoint(words)


def _credentials(settings: ElementTree.Element, identity: str) -> dict[str, str]:
    for server in settings.iterfind("servers/server"):
        user, password = _text(server, "username"), _text(server, "password")
        # A password in braces is encrypted with a key that only Maven knows.
        if _text(server, "id") == identity and user and not password.startswith("{"):
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            return {"Authorization": f"Basic {token}"}
    return {}


def _text(element: ElementTree.Element, name: str) -> str:
    text = (element.findtext(name) or "").strip()
    return re.sub(r"\$\{env\.(\w+)\}", lambda found: os.environ.get(found[1], ""), text)


def _maven_homes() -> list[Path]:
    homes = [Path(os.environ[name]) for name in ("MAVEN_HOME", "M2_HOME") if os.environ.get(name)]
    if program := shutil.which("mvn"):
        prefix = Path(program).resolve().parent.parent
        homes += [prefix, prefix / "libexec"]
    # Where the wrapper that projects carry (mvnw) keeps the Maven that it fetched.
    homes += sorted(Path.home().glob(".m2/wrapper/dists/*/*/*/"), reverse=True)
    return [home for home in homes if (home / "lib").is_dir()]


def _super_pom(home: Path) -> str | None:
    for jar in sorted((home / "lib").glob("maven-*.jar")):
        if not re.match(r"maven-(model-builder|impl)\b", jar.name):
            continue
        try:
            with zipfile.ZipFile(jar) as archive:
                for name in sorted(archive.namelist()):
                    if re.search(r"/pom-4[\d.]*\.xml$", name):
                        text = archive.read(name).decode("utf-8", "replace")
                        found = re.search(r"<id>central</id>.*?<url>([^<]+)</url>", text, re.DOTALL)
                        if found:
                            return found[1].strip().rstrip("/")
        except (OSError, zipfile.BadZipFile):
            continue
    return None
