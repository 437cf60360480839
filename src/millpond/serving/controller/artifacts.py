"""Models brought to this machine, each under the digest of its files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millpond.model.errors import MillpondError

log = logging.getLogger(__name__)

_LOG_SECONDS = 5.0


class FetchError(MillpondError):
    """A model could not be brought here."""


@dataclass(frozen=True)
class Artifact:
    """A model's files, and what its URI meant when it was applied; `size` in bytes."""

    uri: str
    digest: str
    identity: str | None = None
    version: str | None = None
    run_id: str | None = None
    size: int = 0
    files: int = 0


Arriving = Callable[[int, int], None]
"""Told how many bytes and files of a model have come so far."""


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

    async def fetch(
        self,
        uri: str,
        known: Mapping[str, str],
        model_format: str = "mlflow",
        progress: Arriving | None = None,
    ) -> Artifact:
        """Resolve a URI and have its files here.

        Args:
            uri: as ``storageUri`` says.
            known: digests by identity of the models that were fetched before.
            model_format: an MLflow model must hold an MLmodel, the others what their runtimes look for.
            progress: called while files come, at most twice a second.

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
        asked = {"uri": uri, "format": model_format, "store": str(self.root), "known": dict(known)}
        answer: dict[str, Any] = {}
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._conversed(process, asked, progress)
        except TimeoutError:
            raise FetchError(f"{uri} could not be downloaded within {self._timeout:g} seconds") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if "error" in answer:
            raise FetchError(answer["error"], hint=answer.get("hint"))
        if "digest" not in answer:
            raise FetchError(f"{uri} cannot be read: exit code {process.returncode}")
        return Artifact(**answer)

    async def _conversed(
        self, process: asyncio.subprocess.Process, asked: dict[str, Any], progress: Arriving | None
    ) -> dict[str, Any]:
        """Ask the process, pass on what it tells, and give its last answer."""
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(json.dumps(asked).encode())
            await process.stdin.drain()
        process.stdin.close()
        answer: dict[str, Any] = {}
        told = time.monotonic()
        async for line in process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if "bytes" not in said:
                answer = said
                continue
            if progress is not None:
                progress(said["bytes"], said["files"])
            if time.monotonic() - told > _LOG_SECONDS:
                told = time.monotonic()
                log.info("fetching %s: %.1f MB so far", asked["uri"], said["bytes"] / 1e6)
        await process.wait()
        return answer

    def keep_only(self, digests: Iterable[str]) -> None:
        """Remove what no deployment needs, leftovers of broken downloads too."""
        kept = set(digests)
        if self.root.is_dir():
            for path in self.root.iterdir():
                if path.name not in kept:
                    # Out of the way first: a folder that is half removed must not stand under its digest.
                    gone = path if path.name.startswith(".") else path.with_name(f".gone-{path.name}")
                    with contextlib.suppress(OSError):
                        path.rename(gone)
                    shutil.rmtree(gone, ignore_errors=True)
