"""The official BFCL checker, taken from the unpacked package without installing its dependencies.

The checker itself needs nothing but the standard library. It names a table of all supported models
only to learn whether a model's function names had their dots replaced; importing that table would
pull in every vendor's client library, so a stand-in of two lines takes its place during the import.
"""

from __future__ import annotations

import importlib
import sys
import threading
import types
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from xlam_lib.errors import AssetError

PACKAGE = "bfcl_eval"
_MODEL = "xlam"  # any name without "_", which the checker would read as a "/"
_lock = threading.Lock()


class _NamesAsTheyAre:
    """What the checker asks about a model: our prompt keeps dots in function names, so nothing to undo."""

    underscore_to_dot = False


class _Checker(NamedTuple):
    check: Callable[..., dict[str, Any]]
    languages: dict[str, Any]


def benchmark_root(root: Path | None = None) -> Path:
    """The folder that holds ``bfcl_eval``: ``root``, or the pinned download.

    Raises
    ------
    AssetError
        The folder does not hold the package.
    """
    root = _pinned() if root is None else Path(root)
    if not (root / PACKAGE / "data").is_dir():
        raise AssetError(
            f"{root}: holds no {PACKAGE}/data; run `python -m xlam_lib assets`, "
            f"or give the folder that contains {PACKAGE}/"
        )
    return root


@lru_cache(maxsize=1)
def _pinned() -> Path:
    """The pinned download, whose files are hashed once a process and not for every answer."""
    from xlam_lib import assets

    return assets.benchmark()


@lru_cache(maxsize=4)
def _load(root: Path) -> _Checker:
    """Import the checker from ``root``; ``sys.path`` and ``sys.modules`` are as before afterwards.

    The imported functions keep what they need, so nothing of the package has to stay importable, and
    a copy that is installed elsewhere neither serves here nor is disturbed.
    """
    stand_in = types.ModuleType(f"{PACKAGE}.constants.model_config")
    stand_in.MODEL_CONFIG_MAPPING = {_MODEL: _NamesAsTheyAre}  # type: ignore[attr-defined]
    with _lock:
        path, bytecode = list(sys.path), sys.dont_write_bytecode
        others = _ours(sys.modules)
        for name in others:
            del sys.modules[name]
        try:
            sys.dont_write_bytecode = True  # the asset's folder stays as it was unpacked
            sys.path.insert(0, str(root))
            importlib.invalidate_caches()
            sys.modules[stand_in.__name__] = stand_in
            checker = importlib.import_module(f"{PACKAGE}.eval_checker.ast_eval.ast_checker")
            enums = importlib.import_module(f"{PACKAGE}.constants.enums")
            return _Checker(checker.ast_checker, {item.value: item for item in enums.Language})
        except (ImportError, AttributeError, SyntaxError) as error:
            raise AssetError(
                f"{root}: the official checker cannot be imported ({error}); this library is tried with "
                "bfcl-eval 2026.3.23: run `python -m xlam_lib assets` to fetch it"
            ) from error
        finally:
            for name in _ours(sys.modules):
                del sys.modules[name]
            sys.modules.update(others)
            sys.path[:] = path
            sys.dont_write_bytecode = bytecode


def _ours(modules: Mapping[str, types.ModuleType]) -> dict[str, types.ModuleType]:
    return {n: m for n, m in modules.items() if n == PACKAGE or n.startswith(f"{PACKAGE}.")}


def official_check(
    functions: Sequence[Mapping[str, Any]],
    calls: Sequence[Mapping[str, Mapping[str, Any]]],
    possible_answer: Sequence[Mapping[str, Any]],
    language: str,
    category: str,
    root: Path | None = None,
) -> dict[str, Any]:
    """The official checker as it is: its own result with ``valid``, ``error`` and ``error_type``, or whatever
    exception it raises. Parameters as for :func:`ast_check`.
    """
    checker = _load(benchmark_root(root).resolve())
    if language not in checker.languages:
        raise ValueError(f"language {language!r}: not one of {', '.join(checker.languages)}")
    return checker.check(
        list(functions), list(calls), list(possible_answer), checker.languages[language], category, _MODEL
    )


def ast_check(
    functions: Sequence[Mapping[str, Any]],
    calls: Sequence[Mapping[str, Mapping[str, Any]]],
    possible_answer: Sequence[Mapping[str, Any]],
    language: str,
    category: str,
    root: Path | None = None,
) -> tuple[bool, str, str]:
    """Judge calls by the official AST rules.

    Parameters
    ----------
    functions
        The question's function documents, native types untouched.
    calls
        ``[{name: {argument: value}}]``.
    possible_answer
        The official ``ground_truth``: for each call, each argument's allowed values.
    language
        ``python``, ``java`` or ``javascript``. The last two want every value as a string of the language.
    category
        Decides the rule: with ``parallel`` in it, any order is right; otherwise one call is expected.
    root
        The folder that holds ``bfcl_eval``; by default the pinned download.

    Returns
    -------
    tuple
        ``(valid, error_type, message)``, the last two empty when valid. Where the checker itself
        breaks down on a value it did not expect, the answer is wrong, with ``checker:<exception>``.
    """
    checker = _load(benchmark_root(root).resolve())
    if language not in checker.languages:
        raise ValueError(f"language {language!r}: not one of {', '.join(checker.languages)}")
    try:
        result = checker.check(
            list(functions), list(calls), list(possible_answer), checker.languages[language], category, _MODEL
        )
    except Exception as error:  # a model's output must not end a run, and it did not match either
        return False, f"checker:{type(error).__name__}", str(error)
    if result["valid"]:
        return True, "", ""
    return False, result["error_type"], "; ".join(str(item) for item in result["error"])
