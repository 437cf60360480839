"""How every process of a platform is started: services by the supervisor, jobs by whoever needs one.

One place decides what a child inherits, which user it becomes and where its output goes, so that a
command that works as a job (``initdb``) works as a service (``postgres``).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from millpond.model.errors import MillpondError
from millpond.targets.local.supervisor import logs
from millpond.targets.local.supervisor.processes import Leader, group_alive, signal_group, started

INHERITED = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    # Where packages come from and are kept: the serving controller installs models' environments.
    "MILLPOND_CACHE_DIR", "XDG_CACHE_HOME", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_CONFIG_FILE", "UV_NATIVE_TLS", "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
)  # fmt: skip
"""What a child takes over from the process that starts it; everything else it is given."""

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
OWN_ADDRESSES = ("localhost", ".localhost", "127.0.0.1", "::1")

QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "ZENML_ANALYTICS_OPT_IN": "false",
    "MLSTACKS_ANALYTICS_OPT_IN": "false",
    "SCARF_ANALYTICS": "false",
    "BENTOML_DO_NOT_TRACK": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "KEDRO_DISABLE_TELEMETRY": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "HAMILTON_TELEMETRY_ENABLED": "false",
}
"""Switches that keep components from reporting home; a specification can set them otherwise."""


class Identity(NamedTuple):
    """The user that a child becomes."""

    name: str
    uid: int
    gid: int
    groups: list[int]
    home: str


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """A command that runs once and ends.

    Args:
        name: for messages.
        argv: the command; an absolute path, or a name looked up on the ``PATH`` of ``env``.
        cwd: folder to run in; made if it is missing.
        env: environment, on top of ``INHERITED``; may hold secrets.
        component: the component it belongs to, for messages.
        user: when this process is root, the user to become; not looked at otherwise.
        log: file to append standard output and error to; without one they are only kept for the result.
        stdin: bytes for standard input, the way to hand over a secret.
        timeout: seconds after which it is ended.
    """

    name: str
    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    component: str = ""
    user: str | None = None
    log: Path | None = None
    stdin: bytes | None = field(default=None, repr=False)
    timeout: float | None = None


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """How a job ended.

    Args:
        exit_code: negative when a signal ended it.
        lines: the last lines it wrote, secrets of its environment blotted out.
        seconds: how long it ran.
        timed_out: whether it was ended because its time was up.
    """

    exit_code: int
    lines: list[str]
    seconds: float
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with exit code 0."""
        return self.exit_code == 0 and not self.timed_out


def identity(user: str | None) -> Identity | None:
    """The user to become, or None where there is nothing to change.

    Raises:
        MillpondError: this process is root and there is no such user.
    """
    if user is None or os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise MillpondError(f"there is no user {user} on this machine", hint="name another user") from None
    groups = os.getgrouplist(found.pw_name, found.pw_gid)
    return Identity(found.pw_name, found.pw_uid, found.pw_gid, groups, found.pw_dir)


def child_env(given: Mapping[str, str], who: Identity | None, cwd: Path) -> dict[str, str]:
    """The whole environment of a child: inherited, switches, user, then what it is given."""
    env = {name: os.environ[name] for name in INHERITED if name in os.environ}
    env.update(QUIET)
    env["PYTHONUNBUFFERED"] = "1"
    if who:
        env.pop("TMPDIR", None)
        home = who.home if Path(who.home).is_dir() else str(cwd)
        env.update(USER=who.name, LOGNAME=who.name, HOME=home)
    env.update(around_proxy(env))
    env.update(given)
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled again at each start otherwise: seconds
    return env


def around_proxy(env: Mapping[str, str]) -> dict[str, str]:
    """What keeps clients in this environment from asking a proxy for this machine; often nothing.

    >>> around_proxy({"https_proxy": "http://proxy:3128", "no_proxy": "example.org"})["NO_PROXY"]
    'example.org,localhost,.localhost,127.0.0.1,::1'
    >>> around_proxy({"PATH": "/bin"})
    {}
    """
    if not any(env.get(name) for name in PROXIES):
        return {}
    given = env.get("no_proxy") or env.get("NO_PROXY") or ""
    known = [name.strip() for name in given.split(",") if name.strip()]
    value = ",".join([*known, *(name for name in OWN_ADDRESSES if name not in known)])
    return {"NO_PROXY": value, "no_proxy": value}


def options(
    argv: tuple[str, ...], given: Mapping[str, str], cwd: Path, user: str | None, name: str
) -> tuple[list[str], dict[str, Any]]:
    """Command and keyword arguments for ``subprocess.Popen``, all but the three standard streams.

    Raises:
        MillpondError: the command, the folder or the user cannot be used.
    """
    who = identity(user)
    try:
        made = not cwd.exists()
        cwd.mkdir(parents=True, exist_ok=True)
        if who and made:
            os.chown(cwd, who.uid, who.gid)
    except OSError as error:
        raise MillpondError(f"{name}: cannot use the folder {cwd}: {error.strerror}") from None
    env = child_env(given, who, cwd)
    program = shutil.which(argv[0], path=env.get("PATH", os.defpath))
    if program is None:
        raise MillpondError(
            f"{name}: there is no program {argv[0]}",
            hint="is its installation complete? `millpond doctor` checks",
        )
    found: dict[str, Any] = {"cwd": str(cwd), "env": env, "start_new_session": True}
    if who:
        found |= {"user": who.uid, "group": who.gid, "extra_groups": who.groups}
    return [os.path.abspath(program), *argv[1:]], found  # noqa: PTH100  (a symlink's own name matters)


def start(
    argv: tuple[str, ...],
    env: Mapping[str, str],
    cwd: Path,
    user: str | None,
    output: int,
    name: str,
) -> int:
    """Start a process in a session of its own, and return its id; the caller has to collect it.

    Raises:
        MillpondError: it could not be started.
    """
    command, keywords = options(argv, env, cwd, user, name)
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **keywords
        )
    except OSError as error:
        raise MillpondError(f"{name}: cannot start {command[0]}: {error.strerror}") from None
    process.returncode = 0  # collected elsewhere; without this Popen would try as well
    return process.pid


def owner(user: str | None) -> tuple[int, int] | None:
    """User and group ids that a log should belong to."""
    who = identity(user)
    return (who.uid, who.gid) if who else None


async def run_job(spec: JobSpec) -> JobResult:
    """Run a command once, in its own session, and wait for it.

    It and everything in its process group has ended when this returns, however that comes about: when its
    time is up or the caller is cancelled it gets SIGTERM, and SIGKILL two seconds later.

    Raises:
        MillpondError: it could not be started. An exit code other than 0 is a result, not an error.
    """
    begun = time.monotonic()
    command, keywords = options(spec.argv, spec.env, spec.cwd, spec.user, spec.name)
    with contextlib.ExitStack() as stack:
        path, output = _output(spec, stack)
        since = os.fstat(output).st_size
        source, feed = _input(spec)
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=source, stdout=output, stderr=output, **keywords
            )
        except OSError as error:
            os.close(feed)
            raise MillpondError(f"{spec.name}: cannot start {command[0]}: {error.strerror}") from None
        finally:
            os.close(source)
        feeding = asyncio.create_task(asyncio.to_thread(_feed, feed, spec.stdin or b""))
        leader = Leader(spec.name, process.pid, started(process.pid) or "", signal.SIGTERM)
        timed_out = False
        try:
            async with asyncio.timeout(spec.timeout):
                await process.wait()
        except TimeoutError:
            timed_out = True
        finally:
            await _end_group(process, leader)
            await feeding
        lines = logs.redact(logs.tail(path, 20, since), spec.env)
    code = process.returncode if process.returncode is not None else -signal.SIGKILL
    return JobResult(exit_code=code, lines=lines, seconds=time.monotonic() - begun, timed_out=timed_out)


def _output(spec: JobSpec, stack: contextlib.ExitStack) -> tuple[Path, int]:
    if spec.log is None:
        descriptor, name = tempfile.mkstemp(prefix="millpond-job-")
        stack.callback(os.unlink, name)
        stack.callback(os.close, descriptor)
        return Path(name), descriptor
    descriptor = logs.open_log(spec.log, owner(spec.user))
    stack.callback(os.close, descriptor)
    return spec.log, descriptor


def _input(spec: JobSpec) -> tuple[int, int]:
    """Both ends of a pipe for standard input, which the child may also open as ``/dev/stdin``."""
    source, feed = os.pipe()
    who = owner(spec.user)
    if who:
        # Linux asks for permission there, macOS does not, and does not know owners of pipes either.
        with contextlib.suppress(OSError):
            os.fchown(source, *who)
    return source, feed


def _feed(descriptor: int, content: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), open(descriptor, "wb", buffering=0) as file:
        view = memoryview(content)
        while view:
            view = view[file.write(view) :]


async def _end_group(process: asyncio.subprocess.Process, leader: Leader) -> None:
    try:
        signal_group(leader, signal.SIGTERM)
        for _ in range(100):
            if process.returncode is not None and not group_alive(leader):
                return
            await asyncio.sleep(0.02)
    finally:
        # Also when the wait itself is cancelled by a second Ctrl-C.
        signal_group(leader, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            await process.wait()
