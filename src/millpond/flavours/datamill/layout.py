"""Where Data-Mill keeps its files: flavours, component folders, cluster configurations.

The tree is ``infrastructure/{flavours,components,k8s/configs}``. A flavour works without one: then there are
no component folders, and every default is Millpond's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from millpond.model.errors import MillpondError, did_you_mean

SHIPPED = Path(__file__).with_name("flavours")
SUFFIXES = (".yaml", ".yml")


class Layout:
    """The tree around one flavour file."""

    def __init__(self, flavour: Path) -> None:
        self.flavour = flavour
        self.folder = flavour.parent
        self.root = next(filter(_is_root, self._candidates()), None)

    def _candidates(self) -> Iterator[Path]:
        for folder in [self.folder, *list(self.folder.parents)[:2]]:
            yield folder
            yield folder / "infrastructure"

    @property
    def components(self) -> dict[str, Path]:
        """The component folders by name: each holds a set-up script or a YAML file."""
        if self.root is None or not (self.root / "components").is_dir():
            return {}
        return {
            path.name: path
            for path in sorted((self.root / "components").iterdir())
            if path.is_dir() and ((path / "setup.sh").is_file() or any(path.glob("*.y*ml")))
        }

    def find(self, name: str, folders: Iterable[Path | None]) -> Path | None:
        """The file `name` in the first of the folders that has it; ``~`` expands."""
        wanted = Path(name).expanduser()
        for folder in folders:
            if folder is not None and (folder / wanted).is_file():
                return folder / wanted
        return None

    def find_folder(self, name: str) -> Path | None:
        """A folder named in the flavour: beside it, or in the tree; ``~`` expands."""
        wanted = Path(name).expanduser()
        for base in (self.folder, self.root, self.root and self.root.parent):
            if base is not None and (base / wanted).is_dir():
                return base / wanted
        return None

    @property
    def cluster_configs(self) -> Path | None:
        """The folder of cluster configurations."""
        return self.root / "k8s" / "configs" if self.root else None


def _is_root(folder: Path) -> bool:
    return (folder / "components").is_dir() or (folder / "k8s" / "configs").is_dir()


def flavour_folders(base: Path) -> list[Path]:
    """The folders in which a bare flavour name is looked up, in this order."""
    return [base, base / "flavours", base / "infrastructure" / "flavours", SHIPPED]


def find_flavour(wanted: str, base: Path) -> Path:
    """The flavour file that ``-f`` means: a path, or a bare name of a flavour folder.

    Args:
        wanted: ``flavours/default.yaml``, ``default.yaml`` or ``default``; ``~`` expands.
        base: the folder that the command was started in.

    Raises:
        MillpondError: there is no such file; the hint names the closest one.
    """
    path = base / Path(wanted).expanduser()
    if path.is_file():
        return path
    if "/" not in wanted:
        for folder in flavour_folders(base):
            for candidate in _candidates(folder, wanted):
                if candidate.is_file():
                    return candidate
    known = [p.stem for folder in flavour_folders(base)[1:] for p in folder.glob("*.y*ml")]
    raise MillpondError(
        f"there is no flavour {wanted}", hint=did_you_mean(Path(wanted).name.removesuffix(".yaml"), known)
    )


def _candidates(folder: Path, name: str) -> Iterator[Path]:
    """A flavour may be a file, or a folder that holds a file of the same name."""
    stem = Path(name).stem if name.endswith(SUFFIXES) else name
    if name.endswith(SUFFIXES):
        yield folder / name
    for suffix in SUFFIXES:
        yield folder / f"{stem}{suffix}"
        yield folder / stem / f"{stem}{suffix}"
