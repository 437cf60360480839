"""The flags of ``run.sh``, as one typed request.

Flags combine: ``-i -l -s`` installs and starts. ``-d`` stands alone or takes ``net`` or ``app``. ``-f`` may
be left out. Flags that contradict each other are refused with a sentence that says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from millpond.flavours.datamill.settings import Location
from millpond.model.errors import UsageError

Debug = Literal["net", "app"]
DEFAULT_FLAVOUR = "default"
LOCATIONS: dict[str, Location] = {"l": "local", "r": "remote", "h": "hybrid"}
ACTIONS = "siauxpd"
VALUES = {"f": "a flavour", "t": "a target file", "c": "a component"}

USAGE = """\
Usage: run.sh LOCATION ACTION... [OPTION...]

Where:
  -l             on this machine
  -r             on a cluster at a cloud provider
  -h             on a cluster that is there already, by its kubeconfig

What (several may stand together, as in -i -s):
  -i             install what is missing, and start
  -s             start what is installed already, without downloading
  -a             halt; data and installs are kept
  -u             remove the components, last ones first; data is kept
  -x             destroy the platform with its data; asks first
  -d [net|app]   open a shell that reaches every component; needs no location
  -p             open the cluster's dashboard

With:
  -f FLAVOUR     a file, or a name in flavours/ (default: default)
  -t FILE        the cluster's description in place of the flavour's own
  -c COMPONENT   only this component, also when the flavour does not have it
  --help         this text
"""


@dataclass(frozen=True)
class Request:
    """What the flags ask for.

    Args:
        location: where; None when no flag says so.
        actions: the letters of the actions.
        flavour: the value of ``-f``.
        target_file: the value of ``-t``.
        component: the value of ``-c``.
        debug: the value of ``-d``; None when it has none.
        help: the usage is asked for, and nothing else counts.
    """

    location: Location | None = None
    actions: frozenset[str] = field(default_factory=frozenset)
    flavour: str = DEFAULT_FLAVOUR
    target_file: str | None = None
    component: str | None = None
    debug: Debug | None = None
    help: bool = False


def parse(arguments: Sequence[str]) -> Request:
    """Parse the flags of ``run.sh``.

    Raises:
        UsageError: a flag is unknown, lacks its value, is missing, or contradicts another one.
    """
    if "--help" in arguments:
        return Request(help=True)
    found = _Flags()
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word in ("-", "--") or word.startswith("--"):
            raise _wrong(f"{word} is not a flag")
        letters = word[1:]
        while letters:
            letters = found.take(letters, rest)
    return _checked(found)


class _Flags:
    def __init__(self) -> None:
        self.locations: list[str] = []
        self.actions: set[str] = set()
        self.values: dict[str, str] = {}
        self.debug: Debug | None = None

    def take(self, letters: str, rest: list[str]) -> str:
        """Take the first letter, with its value; return the letters after it."""
        letter, after = letters[0], letters[1:]
        if letter in VALUES:
            if letter in self.values:
                raise _wrong(f"-{letter} is given twice")
            if not after and (not rest or rest[0].startswith("-")):
                raise _wrong(f"-{letter} needs {VALUES[letter]} after it")
            self.values[letter] = after or rest.pop(0)
            return ""
        if letter in LOCATIONS:
            if letter not in self.locations:
                self.locations.append(letter)
        elif letter in ACTIONS:
            self.actions.add(letter)
        else:
            raise _wrong(f"there is no flag -{letter}")
        if letter == "d":
            return self._take_debug(after, rest)
        return after

    def _take_debug(self, after: str, rest: list[str]) -> str:
        kinds: tuple[Debug, Debug] = ("net", "app")
        for kind in kinds:
            if after == kind or (not after and rest and rest[0] == kind):
                if not after:
                    rest.pop(0)
                if self.debug not in (None, kind):
                    raise _wrong("-d is given twice")
                self.debug = kind
                return ""
        if not after and rest and not rest[0].startswith("-"):
            raise _wrong(f"-d takes net or app, not {rest[0]}")
        return after


def _checked(found: _Flags) -> Request:
    if len(found.locations) > 1:
        raise _wrong(f"{_list(found.locations)} name different places; give one of them")
    if not found.actions:
        raise _wrong("nothing says what to do; give -i, -s, -a, -u, -x, -d or -p")
    if not found.locations and found.actions - set("dp"):
        raise _wrong("nothing says where; give -l, -r or -h")
    begin = [letter for letter in "isdp" if letter in found.actions]
    end = [letter for letter in "aux" if letter in found.actions]
    if begin and end:
        raise _wrong(f"{_list(begin)} and {_list(end)} contradict each other; call run.sh once for each")
    if "c" in found.values:
        whole = [letter for letter in "axp" if letter in found.actions]
        if whole:
            hint = "; to remove one component, use -u -c" if "x" in whole else ""
            raise _wrong(f"-c names one component, but {_list(whole)} means the whole platform{hint}")
    return Request(
        location=LOCATIONS[found.locations[0]] if found.locations else None,
        actions=frozenset(found.actions),
        flavour=found.values.get("f", DEFAULT_FLAVOUR),
        target_file=found.values.get("t"),
        component=found.values.get("c"),
        debug=found.debug,
    )


def _list(letters: Iterable[str]) -> str:
    return " ".join(f"-{letter}" for letter in letters)


def _wrong(message: str) -> UsageError:
    return UsageError(message, hint="run.sh --help tells all flags")
