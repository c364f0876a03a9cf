"""Public reports about connection reuse: each gets its right answer (README.md is their log)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command_line import run
from tests.nginx.reports.held import Report, differences

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_report(file: Path, tmp_path: Path) -> None:
    assert list(differences(Report.read(file), run, tmp_path)) == []


def test_the_log_names_each_report_and_its_point() -> None:
    log = (FOLDER / "README.md").read_text()
    reports = [Report.read(file) for file in FILES]
    assert [r.source for r in reports if f"| {r.source} | {r.point} |" not in log] == []
    assert len({r.source for r in reports}) == len(FILES) >= 30
