"""Your own APIs to a verified data set in one call: import, generate, check, release."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib.errors import ProfileError
from xlam_lib.synthesis.execute import Limits
from xlam_lib.synthesis.generators import ModelGenerator, TemplateGenerator
from xlam_lib.synthesis.importers import load
from xlam_lib.synthesis.pipeline import Result, synthesize
from xlam_lib.synthesis.registry import Registry
from xlam_lib.synthesis.release import Release, release
from xlam_lib.synthesis.semantic import RuleJudge, SemanticJudge


class DataSet(msgspec.Struct, frozen=True):
    """What was made of a user's APIs.

    Attributes
    ----------
    library
        The imported APIs; ``library.skipped`` says what could not be taken, and why.
    result
        Funnel and cost; the samples are in the folder's ``verified.jsonl`` and ``rejected.jsonl``.
    release
        The files in the shape of xlam-function-calling-60k, and what was left out of them.
    """

    library: Registry
    result: Result
    release: Release


def make_data_set(
    apis: str | Path | Registry,
    out: str | Path,
    *,
    count: int = 1000,
    seed: int = 0,
    workers: int = 1,
    limits: Limits | None = None,
    generator: ModelGenerator | None = None,
    judge: SemanticJudge | None = None,
    progress: Callable[[int, int], None] | None = None,
    settings: dict[str, Any] | None = None,
    command: str = "",
    **options: Any,
) -> DataSet:
    """Make verified function-calling data for somebody's APIs.

    Parameters
    ----------
    apis
        What :func:`xlam_lib.synthesis.importers.load` takes: ``tools.py``, ``openapi.yaml``, ``tools.json``,
        ``package.module``, ``mcp:COMMAND``; or a library.
    out
        Folder for the samples; the release goes into its ``release/``.
    count, seed, workers, limits, judge, progress
        See :func:`~xlam_lib.synthesis.pipeline.synthesize`.
    generator
        A language model that writes the samples, for the imported library; templates without.
    settings
        Of the sampler, see :func:`~xlam_lib.synthesis.sampler.generate`.
    command
        For the data card: the command, or the call, that makes the set again.
    options
        For the importer, such as ``base_url`` or ``unsafe``.

    Raises
    ------
    SchemaError
        The source cannot be imported.
    ProfileError
        None of its functions can be asked for.
    """
    library = apis if isinstance(apis, Registry) else load(apis, **options)
    if not any(function.asks for function in library.functions.values()):
        reasons = (
            "; ".join(f"{name}: {reason}" for name, reason in library.skipped.items()) or "it holds none"
        )
        raise ProfileError(f"{library.name}: no function can be asked for ({reasons})")
    settings = settings or {}
    writer: Any = TemplateGenerator(seed, library, settings)
    if generator is not None:
        generator.library, generator.seed, generator.settings = library, seed, settings
        writer = generator
    judge = judge or RuleJudge()
    result = synthesize(
        count,
        out,
        library=library,
        generator=writer,
        judge=judge,
        workers=workers,
        limits=limits,
        progress=progress,
    )
    name = f"Function-calling data for {library.name}"
    made = release(out, Path(out) / "release", name=name, judge=judge.name, command=command)
    return DataSet(library, result, made)
