"""Brings the jars of a lock, checked by their hashes: ``jars.py LOCK FOLDER REPOSITORY``.

Runs while an image is built, by its Python, and so knows nothing of Millpond. REPOSITORY is a JSON file
with the ``url`` and the ``headers`` of the Maven repository.
"""

from __future__ import annotations

import hashlib
import json
import sys
import urllib.request
from pathlib import Path


def main(lock: Path, folder: Path, repository: Path) -> None:
    """Bring all of them; ends with a sentence at the first that cannot be had."""
    if not repository.is_file() or not repository.stat().st_size:
        sys.exit("no Maven repository is known: set MILLPOND_MAVEN_REPOSITORY")
    told = json.loads(repository.read_text())
    for line in lock.read_text().splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        group, artifact, version, *classifier = words[0].split(":")
        name = "-".join((artifact, version, *classifier)) + ".jar"
        url = f"{told['url']}/{group.replace('.', '/')}/{artifact}/{version}/{name}"
        request = urllib.request.Request(url, headers=told["headers"])
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                content = answer.read()
        except OSError as error:
            sys.exit(f"{name} cannot be had: {error}")
        if hashlib.sha256(content).hexdigest() != words[1].removeprefix("sha256:"):
            sys.exit(f"{name} as downloaded is not what the lock says: its hash differs")
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
