"""Python of the model's own folder: found by a reference, made ready once, called whether async or not.

A reference is ``file.py:name`` within the folder, ``module:name`` of anything that can be imported (the
folder's modules too), or ``file.py`` where one class of the file is what is looked for.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

from millpond.model.errors import MillpondError, did_you_mean
from millpond.serving.server.errors import ExtensionFailed, Overdue, RequestError, one_line


class CallableError(MillpondError):
    """A reference leads to nothing that can be called as it should be."""


def made(reference: str, folder: Path, methods: Sequence[str]) -> Any:
    """What a reference names; a class is instantiated, and its ``load`` called if it has one.

    ``load`` may take the model's folder.

    Args:
        reference: see above.
        folder: the model's.
        methods: what the object must have at least one of, unless it is a plain function.

    Raises:
        CallableError: there is no such file, module or name, it cannot be imported or made ready, or has none
            of the methods.
    """
    place, _, name = reference.partition(":")
    module = _imported(place, folder, reference)
    found = _named(module, name, reference) if name else _only(module, methods, reference)
    try:
        if inspect.isclass(found):
            found = found()
        load = getattr(found, "load", None)
        if callable(load):
            resolved(load(folder) if _takes_one(load) else load())
    except Exception as error:
        raise CallableError(f"{reference} cannot be made ready: {one_line(error)}") from error
    if not any(callable(getattr(found, method, None)) for method in methods) and not callable(found):
        raise CallableError(
            f"{reference} is a {type(found).__name__} without {' or '.join(methods)}",
            hint=f"give it a method {methods[0]}",
        )
    return found


class Caller:
    """Calls a model's own Python so that nothing else is harmed by it.

    What is async runs on the event loop, anything else in threads of its own; a call that takes longer than
    `timeout` seconds (0: no limit) is not waited for.
    """

    def __init__(self, threads: int = 4, timeout: float = 0.0) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="extension")
        self._timeout = timeout

    async def __call__(self, said: str, function: Callable[..., Any], *given: Any) -> Any:
        """What the function gives for the arguments, or for as many of them as it takes.

        Args:
            said: the function's name, for messages.
            function: any.
            given: the arguments; the later ones are left out where it does not take them.

        Raises:
            ExtensionFailed: it raised.
            Overdue: it took too long.
        """
        count = next((n for n in range(len(given), 0, -1) if accepts(function, n)), len(given))
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout or None):
                if inspect.iscoroutinefunction(function):
                    return await function(*given[:count])
                found = await loop.run_in_executor(self._pool, lambda: function(*given[:count]))
                return await found if inspect.isawaitable(found) else found
        except RequestError:
            raise
        except TimeoutError as error:
            if not self._timeout:
                raise ExtensionFailed(said, one_line(error)) from error
            raise Overdue(self._timeout) from None
        except Exception as error:
            raise ExtensionFailed(said, one_line(error)) from error

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def resolved(value: Any) -> Any:
    """The value, or what it comes to when it is awaited; for threads, which have no event loop."""
    return asyncio.run(_awaited(value)) if inspect.isawaitable(value) else value


def accepts(function: Callable[..., Any], count: int) -> bool:
    """Whether a function can be called with this many positional arguments."""
    try:
        inspect.signature(function).bind(*([None] * count))
    except (TypeError, ValueError):
        return False
    return True


def _takes_one(function: Callable[..., Any]) -> bool:
    return not accepts(function, 0) or any(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        for parameter in inspect.signature(function).parameters.values()
    )


async def _awaited(value: Any) -> Any:
    return await value


def _imported(place: str, folder: Path, reference: str) -> ModuleType:
    # At the end: the folder's files are found by each other, and hide nothing that the server needs.
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        path = (folder / place).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            files = [each.name for each in sorted(folder.glob("*.py"))]
            raise CallableError(
                f"{reference}: there is no file {place} in the model's folder",
                hint=did_you_mean(place, files) or f"it has {', '.join(files) or 'no Python file'}",
            )
        spec = importlib.util.spec_from_file_location(f"model_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module
    except CallableError:
        raise
    except Exception as error:
        hint = None
        if isinstance(error, ModuleNotFoundError):
            hint = (
                f"the model's environment has no {error.name}: name it in a requirements.txt beside the model"
            )
        raise CallableError(f"{reference} cannot be imported: {one_line(error)}", hint=hint) from error


def _named(module: ModuleType, name: str, reference: str) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            own = [each for each in vars(module) if not each.startswith("_")]
            raise CallableError(f"{reference}: there is no {name}", hint=did_you_mean(name, own))
        found = getattr(found, part)
    return found


def _only(module: ModuleType, methods: Sequence[str], reference: str) -> Any:
    classes = [
        each
        for each in vars(module).values()
        if inspect.isclass(each)
        and each.__module__ == module.__name__
        and any(callable(getattr(each, method, None)) for method in methods)
    ]
    if len(classes) == 1:
        return classes[0]
    wanted = " or ".join(methods)
    if not classes:
        raise CallableError(f"{reference} has no class with a method {wanted}")
    names = ", ".join(each.__name__ for each in classes)
    raise CallableError(
        f"{reference} has several classes with {wanted}: {names}",
        hint=f"name one, as in {reference}:{classes[0].__name__}",
    )
