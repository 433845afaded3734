"""A data set folder in the Hub's layout: Parquet shards, a card, and a manifest of hashes.

``data/SPLIT-00000-of-00002.parquet``, ``README.md`` (the card) and ``manifest.json``. A table cannot hold
values of changing shape: it would give every record's arguments and schemas the keys of all the others.
So a call's ``arguments``, a tool's ``parameters`` and ``meta`` are columns of JSON text, and everything
else is a column of its own type. ``meta["split"]`` says in which split a record stands (``train`` unless
it is ``validation`` or ``test``). Nothing is left out that the unified format holds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from xlam_lib.errors import ArtifactError, SchemaError
from xlam_lib.exports.base import Report, accept, leave_out
from xlam_lib.records import hash_file, read_json, write_json, write_text
from xlam_lib.schema import Example, Reject, Step, Tool, ToolCall, Trajectory, encode, validate
from xlam_lib.sources import SOURCES

if TYPE_CHECKING:
    from datasets import Features

SPLITS = ("train", "validation", "test")
MAX_SHARD_BYTES = 500 * 2**20
_GROUP_BYTES = 8 * 2**20  # of records held in memory for each split
# Names under which the Hub knows the licences that sources state; any other licence is called "other".
HUB_LICENCES = {
    "apache-2.0": "apache-2.0", "mit": "mit", "cc-by-4.0": "cc-by-4.0", "cc-by-nc-4.0": "cc-by-nc-4.0",
    "cc-by-sa-4.0": "cc-by-sa-4.0", "cc-by-nc-sa-4.0": "cc-by-nc-sa-4.0", "cc0-1.0": "cc0-1.0",
}  # fmt: skip
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))


def features() -> Features:
    """The columns of the table."""
    from datasets import Features, List, Value

    text = Value("string")
    step = {
        "step_id": Value("int64"),
        "thought": text,
        "tool_calls": List({"name": text, "arguments": text}),
        "next_observation": text,
        "user_input": text,
    }
    return Features(
        {
            "unique_trajectory_id": text,
            "source": text,
            "task_instruction": text,
            "tools": List({"name": text, "description": text, "parameters": text}),
            "format_instruction": text,
            "few_shot_examples": List({"query": text, "steps": List(step)}),
            "query": text,
            "steps": List(step),
            "meta": text,
        }
    )


def to_row(trajectory: Trajectory) -> dict[str, Any]:
    """A trajectory as one row of the table."""
    row = msgspec.structs.asdict(trajectory)
    row["tools"] = [
        {"name": tool.name, "description": tool.description, "parameters": _json(tool.parameters)}
        for tool in trajectory.tools
    ]
    row["few_shot_examples"] = [
        {"query": example.query, "steps": _step_rows(example.steps)}
        for example in trajectory.few_shot_examples
    ]
    row["steps"] = _step_rows(trajectory.steps)
    row["meta"] = _json(trajectory.meta)
    return row


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _step_rows(steps: Iterable[Step]) -> list[dict[str, Any]]:
    return [
        msgspec.structs.asdict(step)
        | {"tool_calls": [{"name": c.name, "arguments": _json(c.arguments)} for c in step.tool_calls]}
        for step in steps
    ]


def from_row(row: Mapping[str, Any]) -> Trajectory:
    """The trajectory of one row of the loaded table.

    Raises
    ------
    SchemaError
        A column is missing or holds another type.
    """
    try:
        return Trajectory(
            row["unique_trajectory_id"],
            row["source"],
            row["task_instruction"],
            [
                Tool(tool["name"], tool["description"], _value(tool["parameters"], dict[str, dict[str, Any]]))
                for tool in row["tools"]
            ],
            row["format_instruction"],
            [Example(example["query"], _steps(example["steps"])) for example in row["few_shot_examples"]],
            row["query"],
            _steps(row["steps"]),
            _value(row["meta"], dict[str, Any]),
        )
    except (KeyError, TypeError, msgspec.DecodeError) as error:
        raise SchemaError(f"row: {type(error).__name__} {error}; expected the columns of the card") from None


def _value(text: str, type: Any) -> Any:
    return msgspec.json.decode(text, type=type)


def _steps(rows: Iterable[Mapping[str, Any]]) -> list[Step]:
    return [
        Step(
            row["step_id"],
            row["thought"],
            [ToolCall(c["name"], _value(c["arguments"], dict[str, Any])) for c in row["tool_calls"]],
            row["next_observation"],
            row["user_input"],
        )
        for row in rows
    ]


class _Shards:
    """The Parquet files of one split, written as rows arrive; a full file is followed by the next."""

    def __init__(self, folder: Path, split: str, limit: int) -> None:
        self.folder, self.split, self.limit = folder, split, limit
        self.schema = features().arrow_schema
        self.paths: list[Path] = []
        self.rows: list[dict[str, Any]] = []
        self.held = self.used = self.bytes = self.count = 0
        self.writer: Any = None

    def add(self, row: dict[str, Any], size: int) -> None:
        # A file is full before the row that would take it over the limit, counted uncompressed.
        if self.used + self.held + size > self.limit and self.used + self.held:
            self.close()
        self.rows.append(row)
        self.held += size
        if self.held >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self.rows:
            return
        if self.writer is None:
            self.paths.append(self.folder / f"{self.split}-{len(self.paths):05}.parquet")
            self.writer = pq.ParquetWriter(self.paths[-1], self.schema, compression="zstd")
        table = pa.Table.from_pylist(self.rows, self.schema)
        self.writer.write_table(table)
        self.bytes += table.nbytes
        self.count += len(self.rows)
        self.used += self.held
        self.rows, self.held = [], 0

    def close(self) -> None:
        self._flush()
        if self.writer is not None:
            self.writer.close()
        self.writer, self.used = None, 0

    def finish(self) -> None:
        """Name the files by their number, as the Hub does."""
        self.close()
        for index, path in enumerate(self.paths):
            self.paths[index] = path.rename(
                path.with_name(f"{self.split}-{index:05}-of-{len(self.paths):05}.parquet")
            )


def export(
    trajectories: Iterable[Trajectory],
    path: str | Path,
    *,
    title: str = "Unified function-calling trajectories",
    licences: Mapping[str, str] | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> Report:
    """Write the folder; an earlier export at ``path`` is replaced, once the new one is complete.

    Parameters
    ----------
    title
        The card's heading.
    licences
        The licence of sources that :data:`xlam_lib.sources.SOURCES` does not know, by name.
    max_shard_bytes
        The most bytes of records in one Parquet file (as JSON, before compression).

    Raises
    ------
    ArtifactError
        ``path`` holds something that is not an export, or cannot be written; or there is no record.
    """
    path = Path(path)
    if path.exists() and not (path / "manifest.json").is_file() and (path.is_file() or any(path.iterdir())):
        raise ArtifactError(f"{path}: holds something that is not an export; choose another folder")
    work = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    report = Report("hub")
    try:
        shutil.rmtree(work, ignore_errors=True)
        (work / "data").mkdir(parents=True)
        manifest, info = _write_data(trajectories, work, max_shard_bytes, report)
        manifest["licences"] = {name: _licence(name, licences or {}) for name in manifest["sources"]}
        write_json(work / "manifest.json", manifest)
        write_text(work / "README.md", _card(title, manifest, info))
        old = path.with_name(f".{path.name}.{os.getpid()}.old")
        if path.exists():
            path.rename(old)
        work.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be written ({error.strerror or error}); "
            "free some disk space or choose another folder"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report.files = [str(path / name) for name in (*manifest["files"], "README.md", "manifest.json")]
    return report


def _write_data(
    trajectories: Iterable[Trajectory], work: Path, limit: int, report: Report
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the shards; return the manifest and the card's ``dataset_info``."""
    shards: dict[str, _Shards] = {}
    counts: dict[str, Counter[str]] = {}
    content = hashlib.sha256()
    try:
        for trajectory in trajectories:
            report.read += 1
            if any(validate(trajectory)):
                leave_out(report, trajectory, "breaks the unified format")
                continue
            try:
                line, row = encode(trajectory), to_row(trajectory)
            except (ValueError, OverflowError, TypeError, RecursionError):
                leave_out(report, trajectory, "cannot be written as JSON")
                continue
            split = trajectory.meta.get("split")
            split = split if split in SPLITS else "train"
            if split not in shards:
                shards[split] = _Shards(work / "data", split, limit)
            shards[split].add(row, len(line))
            content.update(line + b"\n")
            report.written += 1
            counts.setdefault(trajectory.source, Counter()).update(
                records=1,
                steps=len(trajectory.steps),
                calls=sum(len(step.tool_calls) for step in trajectory.steps),
                tools=len(trajectory.tools),
            )
    finally:
        for split in shards.values():
            split.close()
    if not shards:
        raise ArtifactError(f"{work.parent}: no record to write; see the stage that should give them")
    ordered = [shards[split] for split in SPLITS if split in shards]
    for split in ordered:
        split.finish()
    files = {f"data/{file.name}": file for split in ordered for file in split.paths}
    manifest = {
        "records": report.written,
        "left_out": report.left_out,
        "splits": {split.split: split.count for split in ordered},
        "sources": {name: dict(counts[name]) for name in sorted(counts)},
        "content_sha256": content.hexdigest(),
        "files": {
            name: {"bytes": file.stat().st_size, "sha256": hash_file(file)} for name, file in files.items()
        },
    }
    info = _dataset_info(ordered, sum(entry["bytes"] for entry in manifest["files"].values()))
    return manifest, info


def _dataset_info(shards: Sequence[_Shards], download: int) -> dict[str, Any]:
    """The card's ``dataset_info``, as ``datasets`` itself writes it."""
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    splits = SplitDict({s.split: SplitInfo(s.split, s.bytes, s.count) for s in shards})
    size = sum(split.bytes for split in shards)
    info = DatasetInfo(features=features(), splits=splits, download_size=download, dataset_size=size)
    card = DatasetCardData()
    DatasetInfosDict({"default": info}).to_dataset_card_data(card)
    return card.to_dict()["dataset_info"]


def _licence(source: str, given: Mapping[str, str]) -> str:
    if source in given:
        return given[source]
    return SOURCES[source].licence if source in SOURCES else "unknown"


def _card(title: str, manifest: dict[str, Any], info: dict[str, Any]) -> str:
    licences = set(manifest["licences"].values())
    known = {HUB_LICENCES.get(licence.lower(), "other") for licence in licences}
    if licences <= {"unknown"}:
        licence = {"license": "unknown"}
    elif len(known) == 1 and known != {"other"}:
        licence = {"license": known.pop()}
    else:
        licence = {"license": "other", "license_name": "by-source", "license_link": "README.md#licences"}
    size = next((name for limit, name in SIZES if manifest["records"] < limit), "1M<n<10M")
    front = {
        "pretty_name": title,
        **licence,
        "task_categories": ["text-generation"],
        "tags": ["function-calling", "tool-use", "agent"],
        "size_categories": [size],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*"} for split in manifest["splits"]],
            }
        ],
        "dataset_info": info,
    }
    sources = "\n".join(
        f"| {name} | {count['records']:,} | {count['steps']:,} | {count['calls']:,} | {count['tools']:,} |"
        for name, count in manifest["sources"].items()
    )
    terms = "\n".join(f"| {name} | {text} | {_home(name)} |" for name, text in manifest["licences"].items())
    files = "\n".join(
        f"| `{name}` | {entry['bytes']:,} | `{entry['sha256']}` |"
        for name, entry in manifest["files"].items()
    )
    left_out = "\n".join(f"- {reason}: {count:,}" for reason, count in manifest["left_out"].items())
    return f"""---
{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---

# {title}

{manifest["records"]:,} trajectories in the unified function-calling format of the xLAM report (section 3.1):
the tools on offer, the user's query, and the agent's steps with their calls and observations.

```python
from datasets import load_dataset

data = load_dataset("FOLDER_OR_ID")
```

## Columns

One row is one trajectory. `tools[].parameters`, `steps[].tool_calls[].arguments` and `meta` are JSON text,
because their keys differ from row to row; decode them with `json.loads`. A tool's parameters map a name to
its JSON Schema, each with a boolean `required`. `xlam_lib.exports.hub.from_row` turns a row back into a
trajectory.

## Counts

| source | trajectories | steps | calls | tools on offer |
| --- | ---: | ---: | ---: | ---: |
{sources}

Left out:

{left_out or "- nothing"}

## Licences

Each source keeps its own.

| source | licence | home |
| --- | --- | --- |
{terms}

## Hashes

SHA-256 of all trajectories as lines of JSON, in the order in which they were written:
`{manifest["content_sha256"]}`

| file | bytes | SHA-256 |
| --- | ---: | --- |
{files}
"""


def _home(source: str) -> str:
    return SOURCES[source].home if source in SOURCES else ""


def read(path: str | Path) -> Iterator[Trajectory | Reject]:
    """The trajectories of a folder, split by split: one outcome a row.

    Raises
    ------
    ArtifactError
        The folder holds no shard.
    """
    import pyarrow.parquet as pq

    path = Path(path)
    shards = [file for split in SPLITS for file in sorted((path / "data").glob(f"{split}-*.parquet"))]
    if not shards:
        raise ArtifactError(f"{path}: holds no data/SPLIT-*.parquet; expected a folder that export wrote")
    position = 0
    for file in shards:
        with pq.ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    key = f"{file.stem}/{position + 1}"
                    yield accept("hub", key, position, lambda row=row: from_row(row))
                    position += 1


def push(folder: str | Path, repo_id: str, *, private: bool = True, api: Any = None) -> str:
    """Upload a folder that :func:`export` wrote as a data set of the Hub; return the commit's address.

    Parameters
    ----------
    repo_id
        ``owner/name``; made if it does not exist.
    private
        Whether a repository made here is private. Its sources' licences may not allow more.
    api
        An object with ``create_repo`` and ``upload_folder``; default ``huggingface_hub.HfApi()``.

    Raises
    ------
    ArtifactError
        A file is missing or not what the manifest says.
    """
    folder = Path(folder)
    manifest = read_json(folder / "manifest.json", dict[str, Any])
    for name, entry in manifest["files"].items():
        file = folder / name
        if not file.is_file() or hash_file(file) != entry["sha256"]:
            raise ArtifactError(f"{file}: is not what manifest.json says; export the folder again")
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi()
    api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
    commit = api.upload_folder(
        repo_id=repo_id,
        repo_type="dataset",
        folder_path=str(folder),
        commit_message=f"{manifest['records']} trajectories",
    )
    return str(commit)
