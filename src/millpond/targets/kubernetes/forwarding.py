"""Ports of a cluster's components on this machine, by `kubectl port-forward`, for as long as they are wanted.

Run as a module it keeps the forwards that a file names until it is ended: what ``millpond forward
--background`` starts. A forward whose pod went is made again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from millpond.model.errors import MillpondError

_PATIENCE = 20.0
_PAUSE = 0.5


@dataclass(frozen=True)
class Forward:
    """One port of one component.

    Args:
        node: the component.
        port: the port's name.
        service: the Service's name.
        namespace: where the Service is.
        remote: the Service's port number.
        local: the port number on this machine.
    """

    node: str
    port: str
    service: str
    namespace: str
    remote: int
    local: int

    @property
    def address(self) -> str:
        """Where it answers on this machine."""
        return f"127.0.0.1:{self.local}"


class Forwarding:
    """Keeps forwards: one kubectl for each Service, started again when it ends.

    Args:
        kubectl: the program with the options that choose the cluster.
        forwards: what is forwarded.
    """

    def __init__(self, kubectl: Sequence[str], forwards: Sequence[Forward]) -> None:
        self._kubectl = list(kubectl)
        self.forwards = list(forwards)
        self._stopped = threading.Event()
        self._running: dict[tuple[str, str], subprocess.Popen[bytes]] = {}
        self._last: dict[tuple[str, str], str] = {}
        self._before: Any = None

    def start(self) -> None:
        """Start them, and wait until each takes connections.

        Raises:
            MillpondError: one does not, with what kubectl says.
        """
        services = sorted({(each.namespace, each.service) for each in self.forwards})
        for service in services:
            threading.Thread(target=self._keep, args=(service,), daemon=True).start()
        deadline = time.monotonic() + _PATIENCE
        for each in self.forwards:
            while not _answers(each.local):
                if time.monotonic() > deadline:
                    said = self._last.get((each.namespace, each.service), "kubectl says nothing")
                    self.stop()
                    raise MillpondError(
                        f"{each.node} cannot be reached: {said}",
                        hint=f"`millpond status` tells how {each.node} is",
                    )
                time.sleep(0.05)

    def stop(self) -> None:
        """End all of them."""
        self._stopped.set()
        for process in list(self._running.values()):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in list(self._running.values()):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)

    def __enter__(self) -> Forwarding:
        # A process that is told to end leaves no kubectl behind.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, _ended)
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def wait(self) -> None:
        """Wait until they are stopped."""
        self._stopped.wait()

    def _keep(self, service: tuple[str, str]) -> None:
        namespace, name = service
        pairs = [
            f"{each.local}:{each.remote}"
            for each in self.forwards
            if (each.namespace, each.service) == service
        ]
        command = [*self._kubectl, "--namespace", namespace, "port-forward", f"service/{name}", *pairs]
        while not self._stopped.is_set():
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            self._running[service] = process
            if self._stopped.is_set():
                process.terminate()
            _, error = process.communicate()
            lines = error.decode(errors="replace").strip().splitlines()
            if lines:
                self._last[service] = lines[-1]
            self._stopped.wait(_PAUSE)


def _ended(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return bool(probe.connect_ex(("127.0.0.1", port)) == 0)


class Background:
    """Forwards that outlive the command, told by a file of the project.

    Args:
        file: where they are noted, with the process that keeps them.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def running(self) -> list[Forward]:
        """What is forwarded now; nothing when its process is gone."""
        found = self._read()
        if found is None or not _alive(found.get("pid")):
            return []
        forwards = found.get("forwards")
        return [Forward(**each) for each in forwards] if isinstance(forwards, list) else []

    def start(self, kubectl: Sequence[str], forwards: Sequence[Forward]) -> None:
        """Keep forwards in a process of their own; what was kept before ends.

        Raises:
            MillpondError: they do not come up.
        """
        self.stop()
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        body = {"kubectl": list(kubectl), "forwards": [asdict(each) for each in forwards]}
        self._file.write_text(json.dumps(body))
        log = self._file.with_suffix(".log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(self._file)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._file.write_text(json.dumps({**body, "pid": process.pid}))
        deadline = time.monotonic() + _PATIENCE + 5
        while not all(_answers(each.local) for each in forwards):
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                lines = log.read_text(errors="replace").strip().splitlines()
                raise MillpondError(lines[-1] if lines else "the forwards did not come up")
            time.sleep(0.05)

    def stop(self) -> bool:
        """End them; whether there were any."""
        found = self._read()
        self._file.unlink(missing_ok=True)
        pid = found.get("pid") if found else None
        if not _alive(pid) or not isinstance(pid, int):
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while _alive(pid) and time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            time.sleep(0.02)
        return True

    def _read(self) -> dict[str, object] | None:
        try:
            found = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def _alive(pid: object) -> bool:
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main(file: str) -> int:
    """Keep the forwards of a file until a signal ends this process."""
    body: Mapping[str, object] = json.loads(Path(file).read_text())
    found = body["forwards"]
    kubectl = body["kubectl"]
    assert isinstance(found, list)
    assert isinstance(kubectl, list)
    forwarding = Forwarding(kubectl, [Forward(**each) for each in found])

    def end(_signal: int, _frame: FrameType | None) -> None:
        forwarding.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        forwarding.start()
    except MillpondError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    forwarding.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
