"""Running the book: profiles, stages, papermill, resume and the manifest ``run.json``.

A *run* is a folder of ``papermill_runs/``: the executed notebooks, ``run.json`` and ``artifacts/``.
A *stage* is one notebook. It calls :func:`begin`, reads what earlier stages wrote, writes below a
hidden work folder and calls :meth:`Stage.finish`, which hashes the outputs and renames them into
place. So an output is whole or absent, and a stage that is killed leaves only its work folder, whose
``scratch`` (training checkpoints, generated answers) the next attempt with the same inputs and
parameters takes up.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from xlam_lib.errors import ArtifactError, ProfileError, XlamError
from xlam_lib.records import hash_file, hash_folder, read_json, write_json
from xlam_lib.stages import STAGES, StageSpec

# Progress is shown by our own line (Progress), so these bars and the advice on widgets only litter pages.
warnings.filterwarnings("ignore", message="IProgress not found")
# peft asks transformers by a name that is about to change; there is nothing for a reader to do about it.
warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")

PACKAGE = Path(__file__).parent
SEAL = ".stage.json"
RUN_FILE = "run.json"
LONGER = "reference-evening"  # the committed scores of the profile evening
_COMMON = ("schema.py", "records.py", "intervals.py", "runs.py", "assets.py", "models.py")
_VERSIONS = (
    "torch", "transformers", "trl", "peft", "accelerate", "datasets",
    "papermill", "jupytext", "msgspec", "numpy",
)  # fmt: skip


def root() -> Path:
    """The project's folder: ``$XLAM_HOME``, or the clone that holds this package."""
    home = Path(os.environ.get("XLAM_HOME") or PACKAGE.parent)
    if not (home / "notebooks").is_dir():
        raise ArtifactError(
            f"{home}: holds no notebooks/ folder; install the clone (`pip install -e .`) or set XLAM_HOME"
        )
    return home


def folder(run_id: str | Path) -> Path:
    """A run's folder: ``papermill_runs/<run_id>``, or the path itself if ``run_id`` is absolute."""
    return root() / "papermill_runs" / run_id


def longer_manifest() -> dict[str, Any]:
    """The manifest of the committed run of the profile ``evening``; empty where there is none."""
    path = folder(LONGER) / RUN_FILE
    return read_json(path) if path.exists() else {}


def longer(name: str) -> dict[str, Any]:
    """What a notebook measured in the committed run of the profile ``evening``; empty where there is none."""
    return dict(longer_manifest().get("notebooks", {}).get(name, {}).get("measures", {}))


def producer(artifact: str) -> str:
    """The notebook that writes an artifact."""
    return next(spec.name for spec in STAGES.values() if artifact in spec.writes)


# ------------------------------------------------------------------------------------------ profiles


def profiles() -> list[str]:
    """The names of the profiles in ``notebooks/profiles``."""
    return sorted(path.stem for path in (root() / "notebooks" / "profiles").glob("*.yaml"))


def load_profile(profile: str | Path) -> dict[str, Any]:
    """A profile's parameters: a flat papermill parameter file.

    Raises
    ------
    ProfileError
        No such profile, or the file is not a flat map of parameters.
    """
    path = Path(profile)
    if path.suffix not in (".yaml", ".yml"):
        path = root() / "notebooks" / "profiles" / f"{profile}.yaml"
    if not path.exists():
        raise ProfileError(f"profile {str(profile)!r} is unknown; choose one of {', '.join(profiles())}")
    try:
        values = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ProfileError(f"{path}: not YAML ({error}); correct the file") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ProfileError(f"{path}: expected a map of parameter names to values")
    return values


# -------------------------------------------------------------------------------------------- stages


def code_hash(name: str) -> str:
    """SHA-256 over a stage's notebook text and the modules it runs: when it changes, the stage is stale."""
    digest = hashlib.sha256()
    spec = STAGES[name]
    for module in sorted((*_COMMON, *spec.modules)):
        path = PACKAGE / module
        files = (
            [path]
            if path.is_file()
            else sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        )
        for file in files:
            digest.update(f"{file.relative_to(PACKAGE).as_posix()}\0{hash_file(file)}\n".encode())
    notebook = json.loads((root() / "notebooks" / f"{name}.ipynb").read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            digest.update("".join(cell["source"]).encode() + b"\0")
    return digest.hexdigest()


@dataclass
class Stage:
    """A stage at work; made by :func:`begin`."""

    spec: StageSpec
    artifacts: Path
    parameters: dict[str, Any]
    inputs: dict[str, str]
    work: Path
    lock: Any
    started: float = field(default_factory=time.time)
    measures: dict[str, Any] = field(default_factory=dict)

    def input(self, name: str) -> Path:
        """The folder of an input artifact."""
        if name not in self.inputs:
            raise ArtifactError(
                f"stage {self.spec.name} does not read {name!r}; it reads {list(self.inputs)}"
            )
        return self.artifacts / name

    def output(self, name: str) -> Path:
        """The (hidden, for now) folder to write an output artifact into."""
        if name not in self.spec.writes:
            raise ArtifactError(
                f"stage {self.spec.name} does not write {name!r}; it writes {self.spec.writes}"
            )
        path = self.work / "out" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def scratch(self, name: str) -> Path:
        """A folder that survives an interruption and goes when the stage is finished."""
        path = self.work / "scratch" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def measure(self, **values: Any) -> None:
        """Record measurements of this machine and moment: they go to ``run.json``, not into a hash."""
        self.measures.update(values)

    def progress(self, label: str) -> Progress:
        """A progress bar that shows in the notebook and in the terminal of ``python -m xlam_lib run``."""
        return Progress(label, self.artifacts.parent / ".progress.json")

    def finish(self) -> dict[str, str]:
        """Hash the outputs and rename them into place; return the hashes.

        Raises
        ------
        ArtifactError
            An output was not written.
        """
        hashes = {}
        for name in self.spec.writes:
            path = self.work / "out" / name
            if not path.is_dir() or not any(path.iterdir()):
                raise ArtifactError(
                    f"stage {self.spec.name} ended without writing {name}/; run all its cells"
                )
            hashes[name] = hash_folder(path)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            1 << 20 if sys.platform != "darwin" else 1 << 30
        )
        self.measure(seconds=round(time.time() - self.started, 1), peak_memory_gb=round(peak, 2))
        for name in self.spec.writes:
            seal = {
                "stage": self.spec.name,
                "hash": hashes[name],
                "inputs": self.inputs,
                "parameters": self.parameters,
                "measures": self.measures,
            }
            write_json(self.work / "out" / name / SEAL, seal)
            target = self.artifacts / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                old = self.work / "old" / name
                shutil.rmtree(old, ignore_errors=True)
                old.parent.mkdir(parents=True, exist_ok=True)
                target.rename(old)
            (self.work / "out" / name).rename(target)
        shutil.rmtree(self.work, ignore_errors=True)
        self.close()
        return hashes

    def close(self) -> None:
        """Give the stage's lock back."""
        if self.lock is not None:
            self.lock.close()
            self.lock = None


_open: dict[str, Stage] = {}


def begin(name: str, run_id: str | Path, parameters: Mapping[str, Any], wait: float = 30) -> Stage:
    """Begin a stage of a run.

    Parameters
    ----------
    name
        The notebook's name, such as ``06_sft``.
    run_id
        The run (see :func:`folder`).
    parameters
        What determines the outputs, beside the inputs: they are part of the work folder's name.
    wait
        Seconds to wait for another process that is at this stage of this run.

    Raises
    ------
    ProfileError
        No such stage.
    ArtifactError
        An input is missing (the message names the notebook that makes it) or was changed after it was
        written, another process is at the stage, or the folder cannot be written.
    """
    if name not in STAGES:
        raise ProfileError(f"stage {name!r} is unknown; choose one of {', '.join(STAGES)}")
    spec = STAGES[name]
    artifacts = folder(run_id) / "artifacts"
    inputs = {item: check_artifact(artifacts, item) for item in spec.reads}
    lock = _lock(artifacts, name, wait)
    settled: dict[str, Any] = json.loads(json.dumps(dict(parameters), sort_keys=True))
    key = hashlib.sha256(json.dumps([name, settled, inputs], sort_keys=True).encode()).hexdigest()[:16]
    hidden = artifacts / ".work"
    work = hidden / f"{name}-{key}"
    for stale in hidden.glob(f"{name}-*"):
        if stale != work:
            shutil.rmtree(stale, ignore_errors=True)
    shutil.rmtree(work / "out", ignore_errors=True)
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"{work}: cannot be made ({error.strerror}); free some disk space") from error
    stage = Stage(spec, artifacts, settled, inputs, work, lock)
    _open[str(artifacts / name)] = stage
    return stage


def check_artifact(artifacts: Path, name: str) -> str:
    """An artifact's hash, recomputed and compared with its seal.

    Raises
    ------
    ArtifactError
        Missing, or changed since its stage finished.
    """
    path, maker = artifacts / name, producer(name)
    if not (path / SEAL).exists():
        raise ArtifactError(
            f"{path}: missing; notebooks/{maker}.ipynb makes it, so run that first "
            f"(or `python -m xlam_lib run --only {maker}` for this run)"
        )
    seal = read_json(path / SEAL)
    found = hash_folder(path)
    if found != seal["hash"]:
        raise ArtifactError(f"{path}: changed since {maker} wrote it; run notebooks/{maker}.ipynb again")
    return found


def _lock(artifacts: Path, name: str, wait: float) -> Any:
    previous = _open.pop(str(artifacts / name), None)
    if previous is not None:  # the same notebook, run again in the same kernel
        previous.close()
    try:
        artifacts.mkdir(parents=True, exist_ok=True)
        file = (artifacts / f".{name}.lock").open("a+")
    except OSError as error:
        raise ArtifactError(
            f"{artifacts}: cannot be written ({error.strerror}); free some disk space"
        ) from error
    deadline = time.time() + wait
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except OSError:
            if time.time() > deadline:
                file.close()
                raise ArtifactError(
                    f"{artifacts}: another process is at stage {name} of this run; wait for it or stop it"
                ) from None
            time.sleep(0.2)


# ------------------------------------------------------------------------------------------ progress


class Progress:
    """Progress of a long cell: call it with (done, total) and, if you like, a word on how it goes.

    In a notebook it is one line that updates in place, so the executed page keeps only its last state.
    """

    def __init__(self, label: str, file: Path) -> None:
        self.label, self.file = label, file
        self.started = self.shown = time.time()
        self.handle: Any = None

    def __call__(self, done: int, total: int, note: str = "") -> None:
        now = time.time()
        if done < total and now - self.shown < 0.5:
            return
        self.shown = now
        width = 30
        filled = width * done // max(total, 1)
        text = f"{self.label}: {'█' * filled}{'·' * (width - filled)} {done}/{total}"
        text += f"  {note}" if note else ""
        state = {
            "label": self.label,
            "done": done,
            "total": total,
            "note": note,
            "seconds": now - self.started,
        }
        with contextlib.suppress(OSError):
            temporary = self.file.with_name(f"{self.file.name}.{os.getpid()}")
            temporary.write_text(json.dumps(state))
            temporary.replace(self.file)
        try:
            shell = get_ipython()  # type: ignore[name-defined]
        except NameError:
            shell = None
        if shell is not None:
            from IPython.display import display

            data = {"text/plain": text}
            if self.handle is None:
                self.handle = display(data, raw=True, display_id=True)
            else:
                self.handle.update(data, raw=True)
        elif done >= total:
            print(text, file=sys.stderr)


# ----------------------------------------------------------------------------------------- execution


def execute(
    profile: str | Path = "laptop",
    run_id: str | Path | None = None,
    only: Sequence[str] | None = None,
    resume: bool = True,
    overrides: Mapping[str, Any] | None = None,
    show: bool = True,
) -> dict[str, Any]:
    """Run the notebooks of a profile through papermill and return the run's manifest.

    Parameters
    ----------
    profile
        A name in ``notebooks/profiles`` or a YAML file of parameters.
    run_id
        The run's name (default: the profile's) or an absolute folder.
    only
        Names of notebooks; the others are left as they are.
    resume
        Skip the notebooks whose text, modules, parameters, inputs and outputs are as ``run.json`` says.
    overrides
        Parameters that replace the profile's.
    show
        Progress bars on standard error.

    Raises
    ------
    ProfileError
        Unknown profile, notebook or parameter.
    XlamError
        A notebook failed: the message holds its error and where its half-executed copy is.
    """
    values = load_profile(profile)
    unknown = sorted(set(only or ()) - set(STAGES))
    if unknown:
        raise ProfileError(f"notebook {unknown[0]!r} is unknown; choose from {', '.join(STAGES)}")
    declared = {name: declared_parameters(name) for name in STAGES}
    everything = {parameter for parameters in declared.values() for parameter in parameters}
    for parameter in (*values, *(overrides or {})):
        if parameter not in everything:
            raise ProfileError(
                f"parameter {parameter!r} belongs to no notebook; known: {', '.join(sorted(everything))}"
            )
    values |= dict(overrides or {})
    name = Path(profile).stem
    run = folder(run_id or name)
    run.mkdir(parents=True, exist_ok=True)
    with _run_lock(run):
        manifest = _manifest(run, name, values)
        chosen = [stage for stage in STAGES if not only or stage in only]
        with _Bars(chosen, run, show) as bars:
            for stage in chosen:
                name_or_path = run.name if run.parent == root() / "papermill_runs" else str(run)
                parameters = {k: v for k, v in values.items() if k in declared[stage]} | {
                    "run_id": name_or_path
                }
                entry = manifest["notebooks"].get(stage)
                if resume and entry and _fresh(stage, entry, parameters, run):
                    bars.done(stage, "unchanged")
                    continue
                bars.begin(stage)
                manifest["notebooks"].pop(stage, None)
                write_json(run / RUN_FILE, manifest)
                started = time.time()
                _papermill(stage, run, parameters)
                entries = manifest["notebooks"] | {stage: _entry(stage, parameters, run, started)}
                manifest["notebooks"] = {name: entries[name] for name in STAGES if name in entries}
                write_json(run / RUN_FILE, manifest)
                bars.done(stage)
    return manifest


def declared_parameters(name: str) -> dict[str, Any]:
    """A notebook's parameters and their defaults, from its cell tagged ``parameters``."""
    import ast

    notebook = json.loads((root() / "notebooks" / f"{name}.ipynb").read_text())
    for cell in notebook["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            tree = ast.parse("".join(cell["source"]))
            return {
                target.id: ast.literal_eval(node.value)
                for node in tree.body
                if isinstance(node, ast.Assign)
                for target in node.targets
                if isinstance(target, ast.Name)
            }
    raise ProfileError(f"notebooks/{name}.ipynb: no cell is tagged 'parameters'")


@contextlib.contextmanager
def _run_lock(run: Path) -> Iterator[None]:
    with (run / ".run.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise XlamError(
                f"{run}: another `run` is at work in it; wait for it, or choose another --run-id"
            ) from None
        yield


def _fresh(stage: str, entry: Mapping[str, Any], parameters: Mapping[str, Any], run: Path) -> bool:
    artifacts = run / "artifacts"
    if entry.get("code") != code_hash(stage) or not (run / f"{stage}.ipynb").exists():
        return False
    if entry.get("parameters") != {k: v for k, v in parameters.items() if k != "run_id"}:
        return False
    try:
        inputs = {name: check_artifact(artifacts, name) for name in STAGES[stage].reads}
        outputs = {name: check_artifact(artifacts, name) for name in STAGES[stage].writes}
    except XlamError:
        return False
    return entry.get("inputs") == inputs and entry.get("outputs") == outputs


def _entry(stage: str, parameters: Mapping[str, Any], run: Path, started: float) -> dict[str, Any]:
    artifacts = run / "artifacts"
    seals = {name: read_json(artifacts / name / SEAL) for name in STAGES[stage].writes}
    first = next(iter(seals.values()))
    return {
        "seconds": round(time.time() - started, 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "code": code_hash(stage),
        "parameters": {k: v for k, v in parameters.items() if k != "run_id"},
        "inputs": first["inputs"],
        "outputs": {name: seal["hash"] for name, seal in seals.items()},
        "measures": first["measures"],
    }


def _papermill(stage: str, run: Path, parameters: Mapping[str, Any]) -> None:
    """Execute one notebook; its copy in the run folder is whole, or named ``.failed.ipynb``."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    source = root() / "notebooks" / f"{stage}.ipynb"
    unfinished, final = run / f"{stage}.failed.ipynb", run / f"{stage}.ipynb"
    final.unlink(missing_ok=True)
    watch = _KernelWatch()
    try:
        with watch:
            papermill.execute_notebook(
                str(source), str(unfinished), parameters=dict(parameters), cwd=str(source.parent),
                progress_bar=False, log_output=False, kernel_name="python3", start_timeout=180,
                # Its advice on transports, and that it was interrupted when it ends, are not for us.
                extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
            )  # fmt: skip
    except PapermillExecutionError as error:
        raise XlamError(
            f"{stage} failed in cell {error.exec_count}: {error.ename}: {error.evalue}\n"
            f"The notebook up to there: {unfinished}. Correct the cause and run again; what is done is kept."
        ) from None
    except (KeyboardInterrupt, RuntimeError) as error:  # nbclient's DeadKernelError is a RuntimeError
        if isinstance(error, KeyboardInterrupt) and not watch.died:
            raise
        raise XlamError(
            f"{stage}: its kernel died (killed, or out of memory?); run again to resume, "
            "with a smaller batch if memory was short"
        ) from None
    os.replace(unfinished, final)


class _KernelWatch:
    """Interrupts papermill when the kernel it waits for is gone: it has been seen to wait for ever."""

    def __init__(self, grace: float = 20) -> None:
        self.grace, self.died = grace, False
        self._stop = threading.Event()

    def __enter__(self) -> _KernelWatch:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        seen, gone_since = False, 0.0
        while not self._stop.wait(1):
            alive = _has_kernel()
            seen = seen or alive
            gone_since = 0.0 if alive or not seen else gone_since or time.time()
            if gone_since and time.time() - gone_since > self.grace and not self._stop.is_set():
                self.died = True
                import _thread

                _thread.interrupt_main()
                return


def _has_kernel() -> bool:
    """Whether a Jupyter kernel runs below this process."""
    import psutil

    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                words = " ".join(child.cmdline())  # empty for a process that is dead and not yet reaped
                if "ipykernel_launcher" in words and child.status() != psutil.STATUS_ZOMBIE:
                    return True
    return False


class _Bars:
    """Two bars on standard error: notebooks done, and the progress of the cell at work."""

    def __init__(self, stages: Sequence[str], run: Path, show: bool) -> None:
        self.stages, self.file, self.show = stages, run / ".progress.json", show
        self._stop = threading.Event()

    def __enter__(self) -> _Bars:
        from tqdm import tqdm

        self.tty = sys.stderr.isatty()
        off = not (self.show and self.tty)
        self.outer = tqdm(total=len(self.stages), unit="notebook", disable=off, position=0)
        self.inner = tqdm(
            total=1,
            disable=off,
            position=1,
            leave=False,
            bar_format="  {desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {postfix}",
        )
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.inner.close()
        self.outer.close()
        self.file.unlink(missing_ok=True)

    def begin(self, stage: str) -> None:
        self.started = time.time()
        self.file.unlink(missing_ok=True)
        self.outer.set_description(stage)
        if self.show and not self.tty:
            print(f"{stage}: running ...", file=sys.stderr, flush=True)

    def done(self, stage: str, how: str = "") -> None:
        self.outer.update()
        if self.show and not self.tty:
            took = how or f"done in {time.time() - self.started:.0f} s"
            print(f"{stage}: {took}", file=sys.stderr, flush=True)

    def _poll(self) -> None:
        while not self._stop.wait(0.5):
            try:
                state = json.loads(self.file.read_text())
            except (OSError, ValueError):
                continue
            self.inner.total = state["total"]
            self.inner.n = state["done"]
            self.inner.set_description(state["label"], refresh=False)
            self.inner.set_postfix_str(state["note"], refresh=True)


# ------------------------------------------------------------------------------------------ manifest


def _manifest(run: Path, profile: str, values: Mapping[str, Any]) -> dict[str, Any]:
    manifest = {"notebooks": {}}
    if (run / RUN_FILE).exists():
        manifest = read_json(run / RUN_FILE)
    return {
        "run_id": run.name,
        "profile": profile,
        "seed": values.get("seed"),
        "parameters": dict(values),
        "git": git_state(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONS},
        "hardware": hardware(),
        "notebooks": manifest["notebooks"],
    }


def git_state() -> dict[str, Any]:
    """The clone's commit, and whether tracked files differ from it; ``None`` outside a clone."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=PACKAGE, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "changed": None}


def hardware() -> dict[str, Any]:
    """The machine in figures: processor, its instructions for arithmetic, cores, memory in GB, GPUs.

    Of the ``instructions`` those are named that decide the speed and the precision of training on a CPU:
    with ``avx512_bf16`` or ``amx_bf16`` products are computed in bfloat16, twice as fast or more.
    """
    import psutil

    said: dict[str, str] = {}
    with contextlib.suppress(OSError):
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
        said = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in first.split("\n"))}
    flags = set(said.get("flags", "").split())
    gpus: list[str] = []
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        gpus = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split("\n")
    return {
        "processor": said.get("model name") or platform.processor() or platform.machine(),
        "instructions": [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": [gpu.strip() for gpu in gpus if gpu.strip()],
    }


def manifest(run_id: str | Path) -> dict[str, Any]:
    """A run's ``run.json``."""
    return read_json(folder(run_id) / RUN_FILE)


__all__ = [
    "STAGES", "Progress", "Stage", "StageSpec", "begin", "check_artifact", "code_hash", "declared_parameters",
    "execute", "folder", "git_state", "hardware", "load_profile", "manifest", "producer", "profiles", "root",
]  # fmt: skip
