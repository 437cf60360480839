"""The supervisor for short commands: the same verbs as the asynchronous client, without an event loop.

Also home of ``ensure``, which both clients share.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import millpond
from millpond.targets.local.supervisor import logs, protocol
from millpond.targets.local.supervisor.processes import MARK, started
from millpond.targets.local.supervisor.protocol import NotRunningError, SupervisorError
from millpond.targets.local.supervisor.spec import ServiceSpec, ServiceStatus, StateChange

_ENSURE_TIMEOUT = 60.0
_START_TIMEOUT = 2.0
_MOST_LAUNCHES = 3
_GREETING_TIMEOUT = 10.0
_GOODBYE_TIMEOUT = 5.0


def ensure(run: Path, timeout: float = _ENSURE_TIMEOUT) -> BlockingSupervisor:
    """The supervisor of a run directory, started if there is none.

    One that is going down is waited for, and so are the leftovers of one that was killed.

    Raises:
        SupervisorError: it does not come up; details are the last lines of its log.
    """
    run = Path(run).absolute()
    client = BlockingSupervisor(run)
    deadline = time.monotonic() + timeout
    launches, launched_at = 0, 0.0
    while True:
        closing = False
        with contextlib.suppress(NotRunningError):
            hello = client.ping()
            closing = bool(hello.get("closing"))
            if not closing:
                protocol.check_greeting(hello, "start")
                return client
        now = time.monotonic()
        if not closing and (launches == 0 or (now - launched_at > _START_TIMEOUT and unlocked(run))):
            ok = launches < _MOST_LAUNCHES and _launch(run)
            launches, launched_at = launches + 1, now
        else:
            ok = now < deadline
        if not ok:
            raise SupervisorError(
                "the supervisor does not come up",
                hint=f"its log is {run / protocol.LOG}",
                details=logs.tail(run / protocol.LOG),
            )
        time.sleep(0.01)


def _launch(run: Path) -> bool:
    try:
        run.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = logs.open_log(run / protocol.LOG)
    except OSError as error:
        raise SupervisorError(f"cannot write to {run}: {error.strerror}", hint="is the disk full?") from None
    env = {name: value for name, value in os.environ.items() if name not in (MARK, "PYTHONDONTWRITEBYTECODE")}
    roots = [str(Path(millpond.__file__).parent.parent), env.get("PYTHONPATH", "")]
    env["PYTHONPATH"] = os.pathsep.join(filter(None, roots))
    try:
        starter = subprocess.Popen(
            # -s -E would lose PYTHONPATH; -S spares the daemon what site-packages runs at each start.
            [sys.executable, "-S", "-m", "millpond.targets.local.supervisor", str(run)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=env,
            start_new_session=True,
        )
    finally:
        os.close(log)
    return starter.wait() == 0  # only its copy goes on


def await_end(pid: int) -> None:
    """Wait until the process of a supervisor that has said goodbye is gone; another may be there by then."""
    was = started(pid)
    deadline = time.monotonic() + _GOODBYE_TIMEOUT
    while was and started(pid) == was and time.monotonic() < deadline:
        time.sleep(0.01)


def unlocked(run: Path) -> bool:
    """Whether no process is, or is about to be, the supervisor of a run directory."""
    try:
        lock = os.open(run / protocol.LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


class BlockingSupervisor:
    """The supervisor of a run directory; each call is a connection of its own.

    Every method raises ``NotRunningError`` if there is no supervisor, ``OtherVersionError`` if it is too
    old or too new to be understood, and ``SupervisorError`` if it refuses.
    """

    def __init__(self, run: Path) -> None:
        self.run = Path(run).absolute()

    def ping(self) -> dict[str, Any]:
        """Who is there: ``version``, ``pid``, ``guardian``, ``run``, ``since``, ``closing``, ``services``."""
        return dict(self._call("ping", timeout=_GREETING_TIMEOUT))

    def running(self) -> bool:
        """Whether there is a supervisor that takes orders."""
        try:
            return not self.ping()["closing"]
        except NotRunningError:
            return False

    def start(self, spec: ServiceSpec) -> ServiceStatus:
        """See ``client.Supervisor.start``."""
        return ServiceStatus.from_json(self._call("start", {"spec": spec.to_json()}))

    def stop(self, *names: str) -> list[ServiceStatus]:
        """See ``client.Supervisor.stop``."""
        return [ServiceStatus.from_json(found) for found in self._call("stop", {"names": names})]

    def restart(self, name: str) -> ServiceStatus:
        """See ``client.Supervisor.restart``."""
        return ServiceStatus.from_json(self._call("restart", {"name": name}))

    def remove(self, name: str) -> None:
        """See ``client.Supervisor.remove``."""
        self._call("remove", {"name": name})

    def status(self) -> list[ServiceStatus]:
        """See ``client.Supervisor.status``."""
        return [ServiceStatus.from_json(found) for found in self._call("status")]

    def ready(self, name: str, timeout: float = 60.0) -> ServiceStatus:
        """See ``client.Supervisor.ready``."""
        return ServiceStatus.from_json(self._call("ready", {"name": name, "timeout": timeout}))

    def events(self) -> Iterator[StateChange]:
        """See ``client.Supervisor.events``."""
        with self._connection("events", None) as (file, send):
            send({"verb": "events"})
            protocol.result(_read(file))
            for said in file:
                yield StateChange.from_json(json.loads(said))

    def shutdown(self) -> None:
        """Stop everything in order; returns when the supervisor is gone. No error if there is none."""
        with contextlib.suppress(NotRunningError):
            pid = int(self.ping()["pid"])
            with contextlib.suppress(NotRunningError):
                self._call("shutdown")
            await_end(pid)

    def _call(
        self, verb: str, arguments: Mapping[str, Any] | None = None, timeout: float | None = None
    ) -> Any:
        with self._connection(verb, timeout) as (file, send):
            send({"verb": verb, **(arguments or {})})
            return protocol.result(_read(file))

    @contextlib.contextmanager
    def _connection(self, verb: str, timeout: float | None) -> Iterator[tuple[Any, Any]]:
        path = protocol.socket_path(self.run)
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.settimeout(_GREETING_TIMEOUT)
            try:
                if path is None:
                    raise FileNotFoundError
                connection.connect(str(path))
                if protocol.peer_uid(connection) != os.geteuid():
                    raise SupervisorError(f"{path} is somebody else's")
                file = stack.enter_context(connection.makefile("rb"))
                protocol.check_greeting(_read(file), verb)
                connection.settimeout(timeout)
                yield file, lambda message: connection.sendall(protocol.line(message))
            except OSError as error:
                raise not_running(error) from None


def _read(file: Any) -> Any:
    said = file.readline()
    if not said:
        raise ConnectionResetError
    return json.loads(said)


def not_running(error: OSError) -> SupervisorError:
    """The error to raise for a connection that cannot be made, or was lost."""
    if isinstance(error, TimeoutError):
        return SupervisorError(
            "the supervisor does not answer", hint="its log is supervisor.log in the run folder"
        )
    return NotRunningError("the platform is not running", hint="`millpond up` starts it")
