"""Verdicts on configurations of the real world, if BENCH_CORPUS=DIR names a folder of them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from nginx.check import check
from nginx.fix.repair import fix, write
from nginx.versions import parse
from tests import needs

CORPUS = os.environ.get("BENCH_CORPUS")
VERSION = "1.22.1"


def entries() -> list[dict[str, Any]]:
    if CORPUS is None:
        return []
    return list(json.loads((Path(CORPUS) / "index.json").read_text())["files"])


if not entries():
    needs.skip("BENCH_CORPUS")


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry["file"])
def test_verdicts_and_rules(entry: dict[str, Any]) -> None:
    folder = Path(CORPUS or "")
    path = folder / entry["file"]
    extra_files = [folder / name for name in entry.get("includes", [])]
    examination = check(path, [VERSION, "1.31.4"], extra_files=extra_files)
    found = {each.place.line: each for each in examination.locations if each.place.file == str(path)}
    assert sorted(found) == [location["line"] for location in entry["locations"]]
    for location in entry["locations"]:
        judged = found[location["line"]]
        assert (judged.context, judged.target) == (location["context"], location["target"])
        answer = judged.verdicts[VERSION].answer
        assert answer.removeprefix("partly ") == location["verdict_1_22"]
        explains_part = {"NK022"} if answer.startswith("partly") else set()
        assert set(judged.rules[VERSION]) - explains_part == set(location["rules"])


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry["file"])
def test_a_repair_is_complete_and_says_what_it_leaves(entry: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(CORPUS or "", tmp_path / "corpus")
    path = tmp_path / "corpus" / entry["file"]
    extra_files = [path.parent / name for name in entry.get("includes", [])]
    versions = [VERSION, "1.31.4"]
    repair = fix(path, versions, extra_files=extra_files, may_leave_out=True)
    write(repair)
    versions = [each for each in versions if parse(each) not in repair.left_out]
    judged = check(path, versions, extra_files=extra_files).locations
    broken = sum(any(verdict.answer != "reused" for verdict in each.verdicts.values()) for each in judged)
    assert broken == len(repair.skipped)
    assert not fix(path, versions, extra_files=extra_files).after
