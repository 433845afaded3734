"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# Machines differ, and so do seconds; what must end in time is given a limit of its own.
settings.register_profile("book", deadline=None)
settings.load_profile("book")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's top folder."""
    return ROOT


@pytest.fixture(scope="session")
def xlam_data() -> Path:
    """Real records of the original datasets, which are not part of the project (see XLAM_DATA)."""
    folder = os.environ.get("XLAM_DATA")
    if not folder:
        pytest.skip("XLAM_DATA is not set: no folder of real records to try")
    path = Path(folder)
    if not path.is_dir():
        pytest.skip(f"XLAM_DATA={folder} is not a folder")
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A tiny random checkpoint with the embedded model's tokenizer."""
    from tests.tiny import make

    return make(tmp_path_factory.mktemp("tiny"))


# What takes longest begins first, so that no process is left alone with it at the end.
FIRST = ("test_pipeline.py", "test_book.py", "test_train.py")


def pytest_configure(config: pytest.Config) -> None:
    """Test processes share the cores: torch in each of them, and in what it starts, takes its part."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // workers, 1)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in FIRST)
