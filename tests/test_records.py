"""JSON Lines on disk: whole or absent, and errors that name the place."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from xlam_lib import records
from xlam_lib.errors import ArtifactError, SchemaError
from xlam_lib.schema import Reject, ToolCall


def test_lines_come_back_as_their_type(tmp_path):
    path = tmp_path / "new" / "calls.jsonl"
    calls = [ToolCall("f", {"x": 1.5, "s": "æ\n"}), ToolCall("g")]
    assert records.write_jsonl(path, iter(calls)) == 2
    assert list(records.read_jsonl(path, ToolCall)) == calls
    assert list(records.read_jsonl(path))[1] == {"name": "g", "arguments": {}}
    assert path.read_bytes().count(b"\n") == 2


def test_blank_lines_are_skipped_and_a_bad_one_is_named(tmp_path):
    path = tmp_path / "calls.jsonl"
    path.write_text('{"name": "f"}\n\n{"name": 3}\n')
    lines = records.read_jsonl(path, ToolCall)
    assert next(lines) == ToolCall("f")
    with pytest.raises(SchemaError, match=r"calls\.jsonl, line 3: .*name.*; correct or delete"):
        next(lines)


@pytest.mark.parametrize("bad", [b'{"name": "f"', b"\xff\n", b'{"name": "f", "extra": 1}\n'])
def test_lines_that_are_no_record(tmp_path, bad):
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b'{"name": "f"}\n' + bad)
    with pytest.raises(SchemaError, match="line 2"):
        list(records.read_jsonl(path, ToolCall))


@pytest.mark.parametrize("read", [lambda path: list(records.read_jsonl(path)), records.read_json])
def test_a_missing_file_is_named(tmp_path, read):
    with pytest.raises(ArtifactError, match=r"gone\.json: no such file; run the stage"):
        read(tmp_path / "gone.json")


def test_json_round_trip_and_fault(tmp_path):
    path = tmp_path / "run.json"
    records.write_json(path, {"seed": 1, "names": ["a"]})
    assert records.read_json(path) == {"seed": 1, "names": ["a"]}
    path.write_text("{")
    with pytest.raises(SchemaError, match=r"run\.json"):
        records.read_json(path)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class FullDisk:
    """A file on a disk that is full after so many bytes."""

    def __init__(self, file, room: int):
        self.file, self.room = file, room

    def write(self, data: bytes) -> int:
        if len(data) > self.room:
            self.file.write(data[: self.room])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(data)
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "calls.jsonl"
    records.write_jsonl(path, [ToolCall("old")])
    before = path.read_bytes()
    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda self, mode="r", *rest: FullDisk(opened(self, mode, *rest), 100))
    with pytest.raises(
        ArtifactError, match=r"calls\.jsonl: cannot be written \(No space left.*free some disk space"
    ):
        records.write_jsonl(path, (ToolCall(f"new{i}") for i in range(1000)))
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert names(tmp_path) == ["calls.jsonl"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_that_is_full_only_when_flushed(tmp_path, monkeypatch):
    path = tmp_path / "calls.jsonl"
    opened = Path.open
    monkeypatch.setattr(
        Path,
        "open",
        lambda self, mode="r", *rest: opened(Path("/dev/full") if "w" in mode else self, mode, *rest),
    )
    with pytest.raises(ArtifactError, match="No space left"):
        records.write_jsonl(path, [ToolCall("new")])
    monkeypatch.undo()
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [RuntimeError("no more records"), KeyboardInterrupt()])
def test_a_stage_that_dies_half_way_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "calls.jsonl"
    records.write_jsonl(path, [ToolCall("old")])
    before = path.read_bytes()

    def dying():
        yield ToolCall("new")
        raise error

    with pytest.raises(type(error)):
        records.write_jsonl(path, dying())
    assert path.read_bytes() == before
    assert names(tmp_path) == ["calls.jsonl"]


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match=r"cannot be written.*choose another folder"):
        records.write_jsonl(tmp_path / "file" / "calls.jsonl", [])


def test_equal_content_has_equal_hashes(tmp_path):
    for folder in ("a", "b"):
        records.write_jsonl(tmp_path / folder / "sub" / "x.jsonl", [Reject("own", 0, "why")])
        records.write_text(tmp_path / folder / "y.txt", "text")
    one = records.hash_folder(tmp_path / "a")
    assert one == records.hash_folder(tmp_path / "b")
    (tmp_path / "b" / ".hidden").write_text("left out")
    assert one == records.hash_folder(tmp_path / "b")
    (tmp_path / "b" / "y.txt").rename(tmp_path / "b" / "z.txt")
    assert one != records.hash_folder(tmp_path / "b")
    text = tmp_path / "a" / "y.txt"
    assert records.hash_file(text) == "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1"
