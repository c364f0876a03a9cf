"""Another checkout runs its own code, whatever is installed beside the Python that runs it."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from tests.perf import checkouts


@pytest.fixture
def older(tmp_path: Path) -> Path:
    for package in ("proxy", "bench"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / "__main__.py").write_text("print('--as-it-was')", encoding="utf-8")
    return tmp_path


def test_a_checkout_runs_its_own_code(older: Path) -> None:
    assert checkouts.path(str(older)) == older.resolve()
    assert checkouts.knows("--as-it-was", older)
    assert not checkouts.knows("--upstream", older)
    assert checkouts.knows("--upstream")
    assert not checkouts.knows("--as-it-was")


def test_a_folder_without_our_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentTypeError, match="no checkout of this project"):
        checkouts.path(str(tmp_path))
