"""Verdicts on configurations of the real world, where BENCH_CORPUS=DIR says that they are at hand."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import needs
from nginx.check import examine
from nginx.fix import fix, write

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
    handed_over = [folder / name for name in entry.get("includes", [])]
    examination = examine(path, [VERSION, "1.31.4"], handed_over=handed_over)
    found = {each.place.line: each for each in examination.locations if each.place.file == str(path)}
    assert sorted(found) == [location["line"] for location in entry["locations"]]
    for location in entry["locations"]:
        judged = found[location["line"]]
        assert (judged.context, judged.target) == (location["context"], location["target"])
        assert judged.verdicts[VERSION].answer == location["verdict_1_22"]
        assert sorted(judged.rules[VERSION]) == sorted(location["rules"])


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry["file"])
def test_a_repair_is_complete_and_says_what_it_leaves(entry: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(CORPUS or "", tmp_path / "corpus")
    path = tmp_path / "corpus" / entry["file"]
    handed_over = [path.parent / name for name in entry.get("includes", [])]
    asked = [VERSION, "1.31.4"]
    repair = fix(path, asked, handed_over=handed_over)
    write(repair)
    judged = examine(path, asked, handed_over=handed_over).locations
    broken = sum(any(verdict.answer != "reused" for verdict in each.verdicts.values()) for each in judged)
    assert broken == len(repair.refused)
    assert not fix(path, asked, handed_over=handed_over).after
