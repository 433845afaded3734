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
