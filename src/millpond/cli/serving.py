"""The platform's model serving as commands use it: find a deployment, change it, say how far that is."""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from millpond.cli.busy import busy
from millpond.cli.deployment_files import DeploymentFiles
from millpond.cli.exit_codes import ExitCode
from millpond.cli.manner import Manner
from millpond.cli.session import Session
from millpond.cli.style import note, out, seconds_text, smart
from millpond.model.errors import DocumentError, DocumentErrors, MillpondError, did_you_mean
from millpond.serving import inferenceservice
from millpond.serving.client import ServingClient, ServingError, condition, failure_of

if TYPE_CHECKING:
    from millpond.catalogue import Catalogue
    from millpond.model.platform import Platform
    from millpond.serving.cluster.deployments import ClusterDeployments

Data = dict[str, Any]
_PAUSE = 0.2


class Serving:
    """The deployments of a session's platform.

    Raises:
        MillpondError: the platform has no model serving, or was never up.
    """

    client: ServingClient | ClusterDeployments

    def __init__(self, session: Session) -> None:
        self.session = session
        self.files = DeploymentFiles(session.locate()[1])
        self.environment: dict[str, str] = {}
        source = session.source()
        if source.flavour.target == "kubernetes":
            catalogue = source.catalogue()
            self.client = on_cluster(source.resolve(catalogue), catalogue)
            return
        target = session.local_target(source=source)
        if not any(True for _ in target.platform.providers("inference")):
            raise MillpondError(
                f"the platform {target.platform.name} has no model serving",
                hint="add the component serving to its flavour, then `millpond up`",
            )
        self.environment = target.environment()
        self.client = ServingClient.from_env(self.environment)

    def look(self, name: str) -> Data | None:
        """A deployment with its status, in whatever namespace; None when there is none."""
        return next((item for item in self.client.list(None) if item["metadata"]["name"] == name), None)

    def find(self, name: str) -> Data:
        """A deployment with its status.

        Raises:
            MillpondError: there is none.
        """
        every = {item["metadata"]["name"]: item for item in self.client.list(None)}
        if name not in every:
            graphs = [item["metadata"]["name"] for item in self.client.graphs(None)]
            if name in graphs:
                raise MillpondError(f"{name} is a graph", hint="`millpond graph list` shows graphs")
            raise unknown(name, list(every))
        return every[name]

    def base(self, found: Data, edit: Callable[[Data], Data], *, same_model: bool = True) -> Data:
        """A deployed document, edited: its file where there is one, else what the controller has.

        Args:
            found: the deployment with its status.
            edit: takes it with its status, and gives the new document.
            same_model: refuse a file whose model is not the one that is deployed.

        Raises:
            MillpondError: the file names another model, so that the edit would change more than it says.
        """
        name = found["metadata"]["name"]
        newest = _newest(found)
        written = self.files.read(name)
        if written is None:
            if failure_of(found) and newest is not None:
                # What failed is what the controller was asked for last, and not what serves.
                found = {**found, "spec": _with_model(found["spec"], newest["spec"])}
            return edit(found)
        if same_model and newest is not None and not _says(written, newest):
            raise MillpondError(
                f"deployments/{name}.yaml says another model than the one that is deployed",
                hint=f"`millpond deploy -f deployments/{name}.yaml` applies it first",
            )
        return edit({**written, "status": found.get("status")})

    def change(self, document: Data, manner: Manner, text: str | None = None) -> Data | None:
        """Apply a document and write its file; with a dry run, print that file instead.

        Args:
            document: an ``InferenceService``.
            manner: whether to wait, or only to print.
            text: what the file shall say; by default the document in the file's own words.

        Returns:
            The deployment with its status; None for a dry run.

        Raises:
            MillpondError: it is refused, or does not serve. The file is as it was then; a deployment that
                was not there before is gone.
        """
        name = document["metadata"]["name"]
        text = self.files.text(name, document) if text is None else text
        self._check(name, text)
        if manner.dry_run:
            out(text.rstrip("\n"))
            return None
        before = self.look(name)
        found = self.client.apply(document)
        if manner.wait is not None:
            try:
                found = self._settled(found, manner.wait)
            except _Failed as error:
                raise self._undone(before, found, error) from None
            except BaseException:
                # The controller has taken it and goes on, so the file has to say it as well.
                self._write(name, text)
                if isinstance(sys.exc_info()[1], KeyboardInterrupt):
                    note(f"the controller goes on; `millpond deployments {name}` tells how far it is")
                raise
        self._write(name, text)
        return found

    def _check(self, name: str, text: str) -> None:
        try:
            inferenceservice.read(text, str(self.files.path(name)))
        except DocumentError as error:
            if self.files.path(name).is_file():
                raise
            # There is no file yet that a place could point into: it is what the command was given.
            errors = error.errors if isinstance(error, DocumentErrors) else [error]
            said = "; ".join(one.reason for one in errors)
            raise MillpondError(said, hint=error.hint, exit_code=ExitCode.USAGE) from None

    def _write(self, name: str, text: str) -> None:
        path = self.files.write(name, text)
        if path is not None:
            note(f"wrote deployments/{path.name}")

    def _undone(self, before: Data | None, found: Data, error: _Failed) -> MillpondError:
        name, namespace = found["metadata"]["name"], found["metadata"]["namespace"]
        traffic = shares(before or {})
        hint = f"`millpond logs {name}` shows more" if error.loaded else None
        if before is None:
            self.client.delete(name, namespace)
        if traffic:
            said = f"stays with {' and '.join(item['revisionName'] for item in traffic)}"
        else:
            said = "is not deployed"
        return MillpondError(f"{name} {said}: {error}", hint=hint)

    def _settled(self, found: Data, timeout: float) -> Data:
        name, namespace = found["metadata"]["name"], found["metadata"]["namespace"]
        generation = found["metadata"]["generation"]
        deadline = time.monotonic() + timeout
        progress = _Progress()
        with busy(f"{name}:", progress.text) if smart(sys.stderr) else progress:
            while True:
                status = found.get("status") or {}
                progress.take(found)
                if status.get("observedGeneration", 0) >= generation:
                    failure = failure_of(found)
                    if failure is not None:
                        reason = status["modelStatus"]["lastFailureInfo"].get("reason")
                        raise _Failed(failure, loaded=reason != "InvalidPredictorSpec")
                    if condition(found, "Ready") == "True":
                        return found
                if time.monotonic() > deadline:
                    raise MillpondError(
                        f"{name} is not ready after {seconds_text(timeout)}: {progress.text()}",
                        hint=f"the controller goes on; `millpond deployments {name}` tells how far it is",
                        exit_code=ExitCode.NOT_READY,
                    )
                time.sleep(_PAUSE)
                found = self.client.get(name, namespace)

    def measured(self, name: str, what: str, **query: object) -> Data:
        """What the monitor knows of a deployment, while a line says that it is being asked.

        Raises:
            MillpondError: there is no such deployment, or the monitor says no.
        """
        self.find(name)
        try:
            with busy("reading the log of predictions"):
                return self.client.measured(name, what, **query)
        except ServingError as error:
            if error.message == "Not Found":
                raise _not_told(what) from None
            raise _said(name, what, error) from None

    def page(self, name: str, what: str, **query: object) -> bytes:
        """A page or picture of the monitor's; see `measured`.

        Raises:
            MillpondError: there is no such deployment, or the monitor says no.
        """
        self.find(name)
        try:
            with busy("drawing"):
                return self.client.page(name, what, **query)
        except ServingError as error:
            if error.message == "Not Found":
                raise _not_told(what) from None
            raise

    def show_json(self, found: Data) -> None:
        """The deployment for a script."""
        out(json.dumps(found))


def on_cluster(platform: Platform, catalogue: Catalogue) -> ClusterDeployments:
    """The deployments of a platform on the cluster that its flavour names."""
    from millpond.serving.cluster.context import Context
    from millpond.serving.cluster.deployments import ClusterDeployments
    from millpond.targets.kubernetes.api import Cluster

    context = Context.of(platform, catalogue)
    return ClusterDeployments(context, lambda: Cluster.connect(platform.cluster.context, context.namespace))


def _said(name: str, what: str, error: ServingError) -> MillpondError:
    """What the monitor said, with a command where it advises a parameter."""
    message, _, advice = error.message.partition("; ")
    hint = error.hint or (None if "?" in advice else advice or None)
    if error.status == 404:
        hint = "predictions are noted while two revisions are compared, and with --log"
    elif error.status == 400 and what in _BEGIN and "revision" in message:
        hint = f"`millpond deploy MODEL --name {name} {_BEGIN[what]}` begins one"
    return MillpondError(message, hint=hint)


_BEGIN = {"compare": "--shadow", "experiment": "--ab"}


def _not_told(what: str) -> MillpondError:
    return MillpondError(
        f"the monitor that runs here does not tell {what}",
        hint="`millpond restart serving` starts the one that belongs to this command",
    )


class _Failed(Exception):  # noqa: N818
    """The newest revision will not serve; `loaded` says that its process was started."""

    def __init__(self, reason: str, *, loaded: bool) -> None:
        super().__init__(reason)
        self.loaded = loaded


class _Progress:
    """What a deployment waits for, in words; told line by line where no line can be drawn again."""

    def __init__(self) -> None:
        self._stage = ""
        self._said = "asked for"
        self._draws = smart(sys.stderr)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None

    def text(self) -> str:
        """What goes on now."""
        return self._said

    def take(self, found: Data) -> None:
        """Look at a newer status."""
        stage, said = _stage(found)
        self._said = said
        if stage != self._stage and not self._draws and stage:
            note(f"{found['metadata']['name']}: {said}")
        self._stage = stage or self._stage


def _stage(found: Data) -> tuple[str, str]:
    """What is done for the newest revision: its name, and in words."""
    status = found.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions", ())}
    latest = conditions.get("LatestDeploymentReady", {})
    if latest.get("status") == "Unknown":
        newest = (status.get("revisions") or [{}])[-1]
        if newest.get("ready", "") is None:
            return "Loading", f"loading the model, {newest['name']} is {newest['state']}"
        message = latest.get("message")
        if message:
            return "Fetching", f"fetching the model, {message}"
        return "Asking", "looking the model up"
    if status.get("observedGeneration", 0) < found["metadata"]["generation"]:
        return "", "waiting for the controller"
    if conditions.get("IngressReady", {}).get("status") == "True":
        return "Routed", "requests are led to it"
    message = next((item["message"] for item in conditions.values() if item.get("message")), None)
    return "Waiting", str(message or "waiting until it answers")


def shares(found: Data) -> list[Data]:
    """The live revisions of a deployment with their percent of the requests, the newest first."""
    traffic: list[Data] = (
        ((found.get("status") or {}).get("components") or {}).get("predictor", {}).get("traffic", [])
    )
    return traffic


def unknown(name: str, known: list[str]) -> MillpondError:
    """The error for a deployment that is not there."""
    hint = did_you_mean(name, known) or "`millpond deploy MODEL --name NAME` makes one"
    return MillpondError(f"there is no deployment {name}", hint=hint)


_MOVES = (
    "canaryTrafficPercent", "logger", "maxReplicas", "minReplicas", "scaleMetric", "scaleTarget",
    "containerConcurrency",
)  # fmt: skip


def _newest(found: Data) -> Data | None:
    """The newest revision that serves, with its model and settings."""
    live = [item["revisionName"] for item in shares(found)]
    kept = (found.get("status") or {}).get("revisions", [])
    return next((item for item in kept if live and item["name"] == live[0]), None)


def _says(document: Data, revision: Data) -> bool:
    """Whether a document means the model and settings that a revision has."""
    plain = {key: value for key, value in document.items() if key != "status"}
    own = _model(inferenceservice.InferenceService.model_validate(plain).document()["spec"])
    deployed = _model(revision["spec"])
    uri = own["predictor"]["model"].pop("storageUri")
    # One that was gone back to is pinned to what its alias meant.
    return (
        uri in (deployed["predictor"]["model"].pop("storageUri"), revision["storageUri"]) and own == deployed
    )


def _model(spec: Data) -> Data:
    """What of a spec makes a revision: all but how traffic moves, scales and is noted."""
    found = copy.deepcopy(spec)
    found["predictor"] = {key: value for key, value in found["predictor"].items() if key not in _MOVES}
    return found


def _with_model(spec: Data, model: Data) -> Data:
    moves = {key: value for key, value in spec["predictor"].items() if key in _MOVES}
    return {**model, "predictor": {**model["predictor"], **moves}}
