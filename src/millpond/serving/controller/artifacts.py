"""Models brought to this machine, each under the digest of its files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from millpond.model.errors import MillpondError


class FetchError(MillpondError):
    """A model could not be brought here."""


@dataclass(frozen=True)
class Artifact:
    """A model's files, and what its URI meant when it was applied."""

    uri: str
    digest: str
    identity: str | None = None
    version: str | None = None
    run_id: str | None = None


class ArtifactStore:
    """The folder that holds the models' files.

    Args:
        root: the folder; made when it is missing.
        timeout: seconds that one download may take.
    """

    def __init__(self, root: Path, timeout: float = 1800.0) -> None:
        self.root = root
        self._timeout = timeout

    def folder(self, digest: str) -> Path:
        """Where the files of a digest are."""
        return self.root / digest

    async def fetch(self, uri: str, known: Mapping[str, str]) -> Artifact:
        """Resolve a URI and have its files here.

        Args:
            uri: as ``storageUri`` says.
            known: digests by identity of the models that were fetched before.

        Raises:
            FetchError: there is no such model, or the registry or store does not answer.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        # An option that is not there arrives as an empty variable, which boto3 and MLflow take at its word.
        environment = {
            **{key: value for key, value in os.environ.items() if value},
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            # A registry that is not there is told within seconds, not after minutes of retries.
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "millpond.serving.controller.fetch",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        asked = json.dumps({"uri": uri, "store": str(self.root), "known": dict(known)})
        try:
            async with asyncio.timeout(self._timeout):
                said, _ = await process.communicate(asked.encode())
        except TimeoutError:
            raise FetchError(f"{uri} could not be downloaded within {self._timeout:g} seconds") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        try:
            answer = json.loads(said.splitlines()[-1])
        except (IndexError, ValueError):
            raise FetchError(f"{uri} cannot be read: exit code {process.returncode}") from None
        if "error" in answer:
            raise FetchError(answer["error"], hint=answer.get("hint"))
        return Artifact(**answer)

    def keep_only(self, digests: Iterable[str]) -> None:
        """Remove what no deployment needs, leftovers of broken downloads too."""
        kept = set(digests)
        if self.root.is_dir():
            for path in self.root.iterdir():
                if path.name not in kept:
                    shutil.rmtree(path, ignore_errors=True)
