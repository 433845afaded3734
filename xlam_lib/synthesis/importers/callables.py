"""Typed Python functions become a library of APIs: a file, a module, or single functions of one.

Worker processes import the module again and find the functions there, so they have to stand in a file.
The module is imported in this process too, to read the signatures: import only what you would run.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from xlam_lib.errors import SchemaError
from xlam_lib.synthesis import auto
from xlam_lib.synthesis.library.base import LIBRARY
from xlam_lib.synthesis.registry import Function, Registry
from xlam_lib.synthesis.signatures import runnable, tool_of


def from_file(path: str | Path) -> Registry:
    """The functions of a Python file, which is imported in this process too.

    Parameters
    ----------
    path
        The file; ``tools.py:NAME`` takes the registry of that name where it makes several.

    Raises
    ------
    SchemaError
        There is no such file, importing it fails, or it offers nothing (the message says why).
    """
    text, _, name = str(path).partition(".py:")
    place = Path(text + ".py" if name else text).resolve()
    if not place.is_file():
        raise SchemaError(f"{place}: no such Python file")
    return _taken(_imported(place), f"{place}:", name)


def from_module(name: str) -> Registry:
    """The functions of an importable module, ``package.module``, which is imported in this process too.

    Raises
    ------
    SchemaError
        It cannot be imported, or it offers nothing (the message says why).
    """
    try:
        module = importlib.import_module(name)
    except Exception as error:
        raise SchemaError(f"module {name!r}: cannot be imported: {type(error).__name__}: {error}") from error
    return _taken(module)


def from_callables(calls: Sequence[Callable[..., Any]]) -> Registry:
    """Some functions of one importable module.

    Raises
    ------
    SchemaError
        They come from several modules, or from none that workers can import (a notebook's, for instance).
    """
    modules = {getattr(call, "__module__", None) or "" for call in calls}
    if len(modules) != 1:
        raise SchemaError(f"from_callables: functions of {len(modules)} modules are given; give those of one")
    module = sys.modules.get(modules.pop())
    if module is None or not getattr(module, "__file__", None) or module.__name__ == "__main__":
        raise SchemaError(
            "from_callables: the functions stand in no file that workers can import; "
            "write them to one (in a notebook with %%writefile) and load it"
        )
    names = {name for name, value in vars(module).items() if any(value is call for call in calls)}
    registry = _named(registry_of_module(module), module)
    part = registry.subset(lambda function: function.name in names)
    for call in calls:
        name = getattr(call, "__name__", "") or repr(call)
        if name not in part.functions:
            part.skipped[name] = registry.skipped.get(name, f"is no public function of {module.__name__}")
    return _some(part)


def registry_of_module(module: ModuleType) -> Registry:
    """The public functions that a module defines, in their order; of ``__all__`` if it has one.

    A registry that the module makes itself is returned as it is, completed where functions lack templates.
    What cannot be taken stands in ``skipped``.

    Raises
    ------
    SchemaError
        The module makes several registries.
    """
    own = _registries(module)
    if len(own) > 1:
        raise SchemaError(f"{module.__name__}: makes the registries {sorted(own)}; name one, file.py:NAME")
    if own:
        return _completed(next(iter(own.values())))
    registry = Registry(_source(module), name=_title(module), path=_path(module))
    for name, call in _public(module):
        if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
            registry.skipped[name] = "is a generator, and a call has one result"
            continue
        try:
            tool = tool_of(call, name, strict=False)
            function = Function(name, _title(module), tool, runnable(call))
            registry.add(auto.complete(function))
        except SchemaError as error:
            registry.skipped[name] = str(error)
    return auto.report_obstacles(registry)


def _taken(module: ModuleType, source: str = "", name: str = "") -> Registry:
    if name:
        registry = _registries(module).get(name)
        if registry is None:
            raise SchemaError(f"{module.__file__}: makes no registry {name!r}")
        registry = _completed(registry)
    else:
        registry = registry_of_module(module)
    return _some(_named(registry, module, source))


def _named(registry: Registry, module: ModuleType, source: str = "") -> Registry:
    """The registry with a source that workers can find; one with its own executor needs none."""
    if registry.opener is None:
        own = next((name for name, value in _registries(module).items() if value is registry), "")
        if source:
            registry.source = source + own
        elif own:
            registry.source, registry.path = f"{module.__name__}:{own}", _path(module)
        registry.name = registry.name or _title(module)
    return registry


def _some(registry: Registry) -> Registry:
    if not registry.functions:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in registry.skipped.items())
        raise SchemaError(
            f"{registry.name}: offers no function ({reasons or 'none is public and defined there'})"
        )
    return registry


def _completed(registry: Registry) -> Registry:
    for name, function in registry.functions.items():
        registry.functions[name] = auto.complete(function)
    return auto.report_obstacles(registry)


def _registries(module: ModuleType) -> dict[str, Registry]:
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, Registry) and value is not LIBRARY
    }


def _public(module: ModuleType) -> Iterator[tuple[str, Callable[..., Any]]]:
    listed = getattr(module, "__all__", None)
    for name, value in vars(module).items():
        if not callable(value) or isinstance(value, (type, typing.NewType, typing.TypeVar)):
            continue
        if listed is not None:
            if name in listed:
                yield name, value
        elif not name.startswith("_") and _module_of(value) == module.__name__:
            yield name, value


def _module_of(value: Any) -> str:
    while isinstance(value, functools.partial):
        value = value.func
    return getattr(value, "__module__", "") or ""


def _title(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2].removesuffix("_file").replace("_", " ").strip().capitalize()


def _source(module: ModuleType) -> str:
    """Where workers find the module: its file, or its name where it belongs to a package."""
    if "." in module.__name__ or hasattr(module, "__path__"):
        return f"{module.__name__}:"
    return f"{Path(module.__file__ or '').resolve()}:"


def _path(module: ModuleType) -> tuple[str, ...]:
    """The folder that a worker needs on its import path."""
    place = Path(module.__file__ or "").resolve()
    levels = len(module.__name__.split(".")) - (0 if hasattr(module, "__path__") else 1)
    return (str(place.parents[levels]),)


def _imported(place: Path) -> ModuleType:
    """A module made of the file, which may import its neighbours, as a script may."""
    name = place.stem
    standing = sys.modules.get(name)
    if standing is not None and Path(getattr(standing, "__file__", None) or "").resolve() != place:
        name += "_file"
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None or spec.loader is None:
        raise SchemaError(f"{place}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module  # where annotations and dataclasses look their names up
    sys.path.insert(0, str(place.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
        raise SchemaError(f"{place}: importing it failed: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(place.parent))
    return module
