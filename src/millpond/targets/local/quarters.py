"""Where one component lives: its data, its made files, its user, and its folder of the catalogue.

Most components run as the user who started Millpond, in ``.millpond/``. One that refuses to run as root
(PostgreSQL) takes another user when Millpond is root, and then lives where that user can get to.
"""

from __future__ import annotations

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from millpond.model.errors import MillpondError
from millpond.model.platform import Node
from millpond.targets.local.workspace import SHARED_STATE, Workspace

_FALLBACK_USER = "nobody"


def user_for(node: Node) -> str | None:
    """The user that the node's processes become; None where they stay who started Millpond.

    Raises:
        MillpondError: Millpond is root, and the user to take does not exist.
    """
    if not node.component.service.unprivileged or os.geteuid() != 0:
        return None
    name = os.environ.get("MILLPOND_USER", _FALLBACK_USER)
    try:
        pwd.getpwnam(name)
    except KeyError:
        raise MillpondError(
            f"{node.name} does not run as root, and there is no user {name} to run it",
            hint="name another one: MILLPOND_USER=NAME millpond up, or start Millpond as a user",
        ) from None
    return name


@dataclass(frozen=True)
class Quarters:
    """The places of one node on this machine."""

    workspace: Workspace
    node: Node
    catalogue_folder: Path
    user: str | None

    @property
    def data(self) -> Path:
        """The folder that holds the node's volumes."""
        if self.user:
            return self.workspace.shared(self.node.name) / "data"
        return self.workspace.data(self.node.name)

    @property
    def files(self) -> Path:
        """The folder of the files made for it."""
        if self.user:
            return self.workspace.shared(self.node.name) / "files"
        return self.workspace.files(self.node.name)

    @property
    def folder(self) -> Path:
        """The component's folder of the catalogue, or a copy that its user can read."""
        return self.files / ".component" if self.user else self.catalogue_folder

    @property
    def uid(self) -> int | None:
        """The id of the user it runs as, if that is another one."""
        return pwd.getpwnam(self.user).pw_uid if self.user else None

    def volume(self, name: str) -> Path:
        """A volume's folder."""
        return self.data / name

    def make(self) -> None:
        """Make the folders, each closed to everybody but the node's user."""
        if self.user:
            self._make_shared()
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.files.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in self.node.component.service.volumes:
            self.volume(name).mkdir(mode=0o700, exist_ok=True)
        if self.user:
            if self.folder.exists():
                shutil.rmtree(self.folder)
            shutil.copytree(self.catalogue_folder, self.folder)
            for path in (
                self.data,
                self.files,
                *(self.volume(v) for v in self.node.component.service.volumes),
            ):
                self.give(path)
            for path in (self.folder, *self.folder.rglob("*")):
                self.give(path)

    def give(self, path: Path) -> None:
        """Hand a file or folder to the node's user, if that is another one."""
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def _make_shared(self) -> None:
        own = self.workspace.shared(self.node.name)
        for folder in (SHARED_STATE, own.parent, own):
            folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            folder.chmod(0o711)
        (own.parent / "project").write_text(f"{self.workspace.project}\n")
        for link, place in ((self.workspace.data(self.node.name), self.data),):
            if not link.exists() and not link.is_symlink():
                link.symlink_to(place)
