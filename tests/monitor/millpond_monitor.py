"""A monitor as a process, logs as model servers write them, and what the lake has, for the tests."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from loopback import free_port
from millpond.serving.predictionlog import Control, SegmentWriter
from model_servers import Answer, ask, service_environment

TOKEN = "a-token"
_ids = itertools.count()


def until(found: Callable[[], Any], what: str, timeout: float = 20) -> Any:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + timeout
    while True:
        answer = found()
        if answer:
            return answer
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


class Monitor:
    """One ``python -m millpond.serving.monitor`` on a folder."""

    def __init__(self, python: Path, folder: Path, *options: str, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "monitor.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._command = [
            *(str(python), "-m", "millpond.serving.monitor", "--port", str(self.port)),
            *("--batch-seconds", "1", *options),
        ]
        kept = {key: value for key, value in service_environment().items() if not key.startswith("AWS_")}
        self._environment = {
            **kept,
            "MILLPOND_SERVING_TOKEN": TOKEN,
            "MILLPOND_SERVING_DATA": str(folder),
            "MPLCONFIGDIR": str(folder / "matplotlib"),
            **(env or {}),
        }

    def start(self) -> Monitor:
        """Start it, and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment, start_new_session=True
            )
        until(self._answers, "the monitor does not answer", 60)
        return self

    def _answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.log.read_text()
        try:
            return ask(self.port, "/healthz").status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """End it at once, as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Stop it gracefully."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                assert self.process.wait(20) == 0, self.log.read_text()
            finally:
                if self.process.poll() is None:
                    self.kill()

    def ask(self, path: str, token: str = TOKEN, **query: Any) -> Answer:
        """One request."""
        where = f"{path}?{urlencode(query)}" if query else path
        return ask(self.port, where, headers={"authorization": f"Bearer {token}"})

    def get(self, deployment: str, question: str, **query: Any) -> Any:
        """An answer about a deployment."""
        found = self.ask(f"/deployments/{deployment}/{question}", **query)
        assert found.status == 200, (found.status, found.body, self.log.read_text())
        return found.json

    def settings(self, deployment: str, **settings: Any) -> None:
        """What the controller writes for the monitor."""
        folder = self.folder / "predictions" / deployment
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / ".monitor.json"
        part.write_text(json.dumps(settings))
        part.replace(folder / "monitor.json")

    def wait_for(self, deployment: str, count: int, **query: Any) -> dict[str, Any]:
        """The window, once it has so many requests."""

        def enough() -> Any:
            answer = self.ask(f"/deployments/{deployment}/window", **query)
            return answer.json if answer.status == 200 and answer.json["requests"] >= count else None

        found: dict[str, Any] = until(enough, f"{count} predictions of {deployment} do not come in")
        return found

    def lake_files(self) -> list[Path]:
        """The files that the lake in a folder has."""
        return sorted(self.folder.glob("predictions-lake/**/*.parquet"))


class Revision:
    """A revision's log, as its server writes it."""

    def __init__(self, folder: Path, deployment: str, revision: str, mode: str = "all") -> None:
        place = folder / "predictions" / deployment
        Control(mode).write(place)
        self.writer = SegmentWriter(place, deployment=deployment, revision=revision, version="1")

    def predict(
        self,
        features: dict[str, Any],
        prediction: Any,
        *,
        identity: str | None = None,
        status: int = 200,
        ms: float = 1.0,
        shadow: bool = False,
        arrival: float | None = None,
        datatype: str = "FP64",
    ) -> str:
        """Log one V2 prediction of one row; returns its id."""
        identity = identity or f"request-{next(_ids)}"
        inputs = [
            {
                "name": name,
                "shape": [1],
                "datatype": "BYTES" if isinstance(value, str) else "FP64",
                "data": [value],
            }
            for name, value in features.items()
        ]
        output = {"name": "output-1", "shape": [1, 1], "datatype": datatype, "data": [prediction]}
        answer = (
            {"model_name": "m", "id": identity, "outputs": [output]} if status == 200 else {"error": "no"}
        )
        self.log(
            {"inputs": inputs},
            answer,
            identity=identity,
            status=status,
            ms=ms,
            shadow=shadow,
            arrival=arrival,
        )
        return identity

    def log(
        self,
        request: Any,
        response: Any,
        *,
        identity: str | None = None,
        status: int = 200,
        ms: float = 1.0,
        shadow: bool = False,
        arrival: float | None = None,
        protocol: str = "v2",
        **more: Any,
    ) -> str:
        """Log one prediction with these bodies; returns its id."""
        identity = identity or f"request-{next(_ids)}"
        self.writer.prediction(
            identity,
            request if isinstance(request, bytes) else json.dumps(request).encode(),
            response if isinstance(response, bytes) else json.dumps(response).encode(),
            arrival=time.time() if arrival is None else arrival,
            ms=ms,
            status=status,
            protocol=protocol,
            path="/v2/models/m/infer",
            request_type=more.pop("request_type", "application/json"),
            response_type=more.pop("response_type", "application/json"),
            shadow=shadow,
            **more,
        )
        return identity

    def feedback(self, identity: str, **body: Any) -> None:
        """Log what became of a prediction."""
        self.writer.feedback(identity, json.dumps({"id": identity, **body}).encode())

    def close(self) -> None:
        """Finish the segment."""
        self.writer.close()


def rows(python: Path, files: list[Path]) -> list[dict[str, Any]]:
    """The rows of Parquet files, times as ISO text, read by the science environment."""
    if not files:
        return []
    code = (
        "import sys, json, pyarrow.parquet as p\n"
        "rows = [row for f in sys.argv[1:] for row in p.ParquetFile(f).read().to_pylist()]\n"
        "print(json.dumps(rows, default=lambda v: v.decode('latin1') if isinstance(v, bytes) else str(v)))"
    )
    done = subprocess.run(
        [str(python), "-c", code, *map(str, files)], capture_output=True, text=True, check=True
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def ids(found: Iterator[dict[str, Any]] | list[dict[str, Any]], kind: str = "inference.request") -> list[str]:
    """The ids of the events of a type."""
    return [row["id"] for row in found if row["type"].endswith(kind)]


def fill_everything(monitor: Monitor, name: str) -> None:
    """A deployment with a shadow, an experiment, drift, outcomes and truths: whatever a report can show."""
    dice = random.Random(7)
    arms = [f"{name}-1", f"{name}-2"]
    began = time.time() - 600
    monitor.settings(
        name,
        primary=arms[0],
        shadow=f"{name}-3",
        experiment={"name": "checkout", "arms": arms, "since": began - 1},
    )
    logs = {revision: Revision(monitor.folder, name, revision) for revision in [*arms, f"{name}-3"]}
    count = 2400
    for number in range(count):
        now = number > 1000
        features = {
            "distance_km": dice.gauss(1200 if now else 800, 300),
            "departure_hour": dice.gauss(13, 4),
            "airline": dice.choices(["Kestrel", "Heron", "Ibis"], [1, 4, 2] if now else [3, 2, 2])[0],
        }
        score = min(0.99, max(0.01, dice.gauss(0.55 if number % 2 else 0.4, 0.2)))
        own = logs[arms[0] if not now or number % 3 else arms[1]]
        when = began + number / 5
        identity = own.predict(features, score, ms=dice.lognormvariate(1.0, 0.4), arrival=when)
        if own is logs[arms[0]]:
            logs[f"{name}-3"].predict(
                features,
                min(1.0, max(0.0, score + dice.gauss(0.01, 0.03))),
                identity=identity,
                shadow=True,
                ms=dice.lognormvariate(1.5, 0.5),
                arrival=when,
                status=503 if number % 400 == 0 else 200,
            )
        own.feedback(
            identity,
            reward=int(dice.random() < (0.12 if own is logs[arms[0]] else 0.2)),
            truth=int(dice.random() < score),
        )
    for log in logs.values():
        log.close()
    monitor.wait_for(name, count)
    until(lambda: monitor.get(name, "compare")["waiting"] == 0, "the comparison does not come to rest")
