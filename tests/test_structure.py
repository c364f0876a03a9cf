"""The structure holds: rooms import downwards only, and files, functions and names keep their bounds."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
PACKAGES = ("bench", "proxy", "backends", "nginx")
FILES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MAY_BE_SHORT = re.compile(r"(__init__|__main__)\.py$|^bench/(commands|scenarios)/")
MAX_FILE_LINES, MIN_FILE_LINES, MAX_FUNCTION_LINES, MAX_FLOORS, MAX_LOOSE_MODULES = 400, 25, 52, 10, 6


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def contract() -> list[list[str]]:
    """Return the layers of bench, the top first, each with its rooms."""
    parser = ConfigParser()
    parser.read(ROOT / ".importlinter", encoding="utf-8")
    layers = parser["importlinter:contract:rooms"]["layers"].split("\n")
    return [[room.strip() for room in layer.split("|")] for layer in layers if layer.strip()]


def test_imports_keep_the_contract(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == 0, capsys.readouterr().out


def test_the_map_of_the_house_is_the_contract() -> None:
    text = (ROOT / "docs" / "development" / "house.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d+ \| (.+?) \|", text, flags=re.MULTILINE)
    shown = [[room.strip("`/").removesuffix(".py") for room in row.split(", ")] for row in rows]
    assert shown == [rooms for rooms in contract() if rooms != ["__main__"]]


def imported_rooms(file: Path) -> Iterator[str]:
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            if node.module == "bench":
                yield from (alias.name for alias in node.names)
            elif node.module.startswith("bench."):
                yield node.module.split(".")[1]


def test_no_chain_of_imports_climbs_more_floors_than_a_reader_can_hold() -> None:
    rooms = {part.name.removesuffix(".py") for part in (ROOT / "bench").iterdir() if part.name[0] != "_"}
    below: dict[str, set[str]] = defaultdict(set)
    for file in (ROOT / "bench").rglob("*.py"):
        room = file.relative_to(ROOT / "bench").parts[0].removesuffix(".py")
        below[room] |= {other for other in imported_rooms(file) if other in rooms and other != room}

    def floor(room: str) -> int:
        return 1 + max((floor(other) for other in below[room]), default=0)

    assert max(map(floor, rooms)) <= MAX_FLOORS


def test_few_modules_stand_outside_rooms() -> None:
    loose = [file.name for file in (ROOT / "bench").glob("*.py") if not file.name.startswith("__")]
    assert len(loose) <= MAX_LOOSE_MODULES


def test_a_file_is_one_idea() -> None:
    lines = {name(file): len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert {each: count for each, count in lines.items() if count > MAX_FILE_LINES} == {}
    short = {each: count for each, count in lines.items() if count < MIN_FILE_LINES}
    assert {each: count for each, count in short.items() if not MAY_BE_SHORT.search(each)} == {}


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function without its docstring."""
    first = function.body[0]
    has_docstring = ast.get_docstring(function, clean=False) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def test_functions_are_short() -> None:
    long = {
        f"{name(file)}:{node.lineno} {node.name}": code_lines(node)
        for file in FILES
        for node in ast.walk(tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and code_lines(node) > MAX_FUNCTION_LINES
    }
    assert long == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_class_name_means_one_thing_inside_a_package(package: str) -> None:
    where: dict[str, list[str]] = defaultdict(list)
    for file in FILES:
        if name(file).startswith(f"{package}/"):
            for node in ast.walk(tree(file)):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    where[node.name].append(name(file))
    assert {each: files for each, files in where.items() if len(files) > 1} == {}


def test_no_test_imports_from_a_test_module() -> None:
    found = [
        f"{name(file)}: {node.module}"
        for file in TESTS
        for node in ast.walk(tree(file))
        if isinstance(node, ast.ImportFrom) and (node.module or "").rpartition(".")[2].startswith("test_")
    ]
    assert found == []
