"""Secrets of the cluster: made once by create, never overwritten, never told.

A lone secret lives in one key of one Secret; whoever finds that key there takes what is in it. Texts composed
of several parts are put together from those. What the user keeps in a variable or a file is read anew.
"""

from __future__ import annotations

import base64
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass

from millpond.model.errors import MillpondError
from millpond.model.value import Atom, Elsewhere, Secret, Value
from millpond.targets.elsewhere import MissingValueError, elsewhere
from millpond.targets.kubernetes.api import ApiError, Cluster
from millpond.targets.kubernetes.bundle import Bundle, Object, SecretObject
from millpond.targets.kubernetes.engine.ownership import labels, ours

_ALPHABET = string.ascii_letters + string.digits
"""Letters and digits alone need no quoting in any file, URL or command."""

_LENGTH = 28


@dataclass(frozen=True)
class Due:
    """What is to be done to one Secret.

    Args:
        secret: which.
        new: whether it is not there at all.
        keys: its keys that are missing or differ.
        changed: those of `keys` that are there, and are to become another text.
    """

    secret: SecretObject
    new: bool
    keys: tuple[str, ...]
    changed: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """It in words, without a text of any key."""
        if self.new:
            return f"Secret {self.secret.name} is to be made"
        told = [f"Secret {self.secret.name}:"]
        missing = [key for key in self.keys if key not in self.changed]
        if missing:
            told.append(f"{', '.join(missing)} to be made")
        if self.changed:
            told.append(f"{', '.join(self.changed)} differs")
        return " ".join(told)


class Secrets:
    """The Secrets of one platform."""

    def __init__(self, cluster: Cluster, bundle: Bundle) -> None:
        self._cluster = cluster
        self._bundle = bundle
        self._made: dict[Secret, str] = {}
        self._lengths = {
            atom: secret.lengths.get(key, _LENGTH)
            for secret in bundle.secrets
            for key, value in secret.texts.items()
            if (atom := _lone(value)) is not None
        }
        self._where = {
            atom: (secret.name, key)
            for secret in bundle.secrets
            for key, value in secret.texts.items()
            if (atom := _lone(value)) is not None
        }

    async def due(self, live: Mapping[str, Object]) -> list[Due]:
        """What is to be made or written anew, given the namespace's Secrets by name; changes nothing.

        Raises:
            MillpondError: a Secret is somebody else's, or a value of the user's is missing.
        """
        found = []
        for secret in self._bundle.secrets:
            there = live.get(secret.name)
            if there is None:
                for value in secret.texts.values():
                    self._check(value)
                found.append(Due(secret, True, tuple(secret.texts)))
                continue
            self._require_ours(there)
            data = there.get("data") or {}
            missing = tuple(key for key in secret.texts if key not in data)
            changed = tuple(
                key
                for key, value in secret.texts.items()
                if key in data and _lone(value) is None and self._differs(value, data[key], live)
            )
            if missing or changed:
                found.append(Due(secret, False, (*missing, *changed), changed))
        return found

    async def make(self, due: list[Due], live: Mapping[str, Object]) -> None:
        """Make what is due, lone secrets first, as the others are put together from them."""
        known = dict(live)
        for lone in (True, False):
            for one in due:
                keys = [key for key in one.keys if (_lone(one.secret.texts[key]) is not None) == lone]
                if keys:
                    known[one.secret.name] = await self._write(one, keys, known)

    async def _write(self, due: Due, keys: list[str], live: Mapping[str, Object]) -> Object:
        secret = due.secret
        texts = {key: self._text(secret.texts[key], live) for key in keys}
        data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        there = live.get(secret.name)
        if there is None:
            try:
                return await self._cluster.create(
                    {
                        "apiVersion": "v1",
                        "kind": "Secret",
                        "metadata": {
                            "name": secret.name,
                            "namespace": self._bundle.namespace,
                            "labels": labels(self._bundle.platform, secret.unit),
                        },
                        "type": "Opaque",
                        "data": data,
                    }
                )
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
            # Somebody else was faster; theirs counts.
            there = await self._cluster.get("v1", "Secret", secret.name, self._bundle.namespace)
            if there is None:
                raise MillpondError(
                    f"Secret {secret.name} is made and deleted by turns", hint="find out who deletes it"
                )
            self._require_ours(there)
        kept = there.get("data") or {}
        missing = {key: text for key, text in data.items() if key not in kept or key in due.changed}
        if not missing:
            return there
        # The version says that nobody has added the same key since it was read.
        patch = {"metadata": {"resourceVersion": there["metadata"]["resourceVersion"]}, "data": missing}
        return await self._cluster.patch(there, patch)

    def _text(self, value: Value, live: Mapping[str, Object]) -> str:
        def atom(found: Atom) -> str:
            if isinstance(found, Secret):
                return self._secret(found, live)
            if isinstance(found, Elsewhere):
                return elsewhere(found)
            raise MillpondError(f"a Secret cannot hold {type(found).__name__.lower()}, render it first")

        return value.realise(atom)

    def _secret(self, atom: Secret, live: Mapping[str, Object]) -> str:
        kept = self._kept(atom, live)
        if kept is not None:
            return kept
        if atom not in self._made:
            self._made[atom] = "".join(secrets.choice(_ALPHABET) for _ in range(self._lengths[atom]))
        return self._made[atom]

    def _kept(self, atom: Secret, live: Mapping[str, Object]) -> str | None:
        if atom not in self._where:
            raise MillpondError(
                f"the secret {atom.name} of {atom.node} is in no Secret of the platform",
                hint="this is a mistake of Millpond's; please report it",
            )
        name, key = self._where[atom]
        text = (live.get(name, {}).get("data") or {}).get(key)
        return None if text is None else base64.b64decode(text).decode()

    def _differs(self, value: Value, kept: str, live: Mapping[str, Object]) -> bool:
        if any(isinstance(atom, Secret) and self._kept(atom, live) is None for atom in value.atoms()):
            return True
        try:
            return self._text(value, live) != base64.b64decode(kept).decode()
        except (MissingValueError, UnicodeDecodeError):
            # Whoever looks after a platform need not have the user's own secrets; what is kept stays.
            return False

    def _check(self, value: Value) -> None:
        for atom in value.atoms():
            if isinstance(atom, Elsewhere):
                elsewhere(atom)

    def _require_ours(self, secret: Object) -> None:
        if not ours(secret, self._bundle.platform):
            raise foreign(f"Secret {secret['metadata']['name']}", self._bundle.platform)


def foreign(obj: str, platform: str) -> MillpondError:
    """An object of the wished name is there and is somebody else's."""
    wanted = ", ".join(f"{name}={value}" for name, value in list(labels(platform, "").items())[:2])
    return MillpondError(
        f"{obj} is there already and does not belong to the platform {platform}",
        hint=f"rename or delete it, take another namespace, or hand it over by labelling it {wanted}",
    )


def _lone(value: Value) -> Secret | None:
    if len(value.parts) == 1 and isinstance(value.parts[0], Secret):
        return value.parts[0]
    return None
