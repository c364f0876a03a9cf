"""The folder in which a command runs: inputs, and copies of kept runs, some of them changed or damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

_HERE = Path(__file__).parent
ROOT = _HERE.parent.parent


def furnish(place: Path, runs: Iterable[str]) -> None:
    """Fill `place`: plans, conf and broken from inputs, nginx from nginx/conf, results with `runs`."""
    shutil.copytree(_HERE / "inputs", place, dirs_exist_ok=True)
    shutil.copytree(ROOT / "nginx" / "conf", place / "nginx")
    (place / "folder").mkdir()
    (place / "latin.toml").write_bytes(b'mode = "caf\xe9"\n')
    (place / "binary.conf").write_bytes(b"\0\1")
    (place / "broken" / "empty").mkdir()
    (place / "broken" / "empty" / "run.jsonl").write_bytes(b"")
    for pattern in runs:
        original, _, change = pattern.partition("+")
        for source in sorted((ROOT / "results").glob(original)):
            if source.is_dir():
                _copy(source, place / "results", change)


def files(place: Path) -> dict[str, tuple[int, int]]:
    """Return each file under `place` with what tells that it was written to."""
    found = {}
    for path in sorted(place.rglob("*")):
        if path.is_file():
            status = path.stat()
            found[path.relative_to(place).as_posix()] = (status.st_mtime_ns, status.st_ino)
    return found


def _copy(source: Path, root: Path, change: str) -> None:
    target = root / (f"{source.name}-{change}" if change else source.name)
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    if change:
        for file in target.glob("*.jsonl"):
            file.write_text("".join(_CHANGES[change](file.read_text().splitlines(keepends=True))))


def _part(lines: list[str]) -> list[str]:
    """Leave out the last third of the trials, so that the run differs from the whole one."""
    return lines[: 1 + (len(lines) - 1) * 2 // 3]


def _twice(lines: list[str]) -> list[str]:
    """Have each trial twice, so that there are enough for a test."""
    return lines + lines[1:]


def _fewer(lines: list[str]) -> list[str]:
    """Have half as many connections in the plan."""
    return [lines[0].replace('"connections":64', '"connections":32'), *lines[1:]]


def _damaged(lines: list[str]) -> list[str]:
    """Break off the last trial, and have a line of something else before it."""
    return [*lines[:-1], "something else\n", lines[-1][: len(lines[-1]) // 2]]


def _void(lines: list[str]) -> list[str]:
    """Have no trial at all."""
    return lines[:1]


_CHANGES: dict[str, Callable[[list[str]], list[str]]] = {
    "part": _part,
    "twice": _twice,
    "fewer": _fewer,
    "damaged": _damaged,
    "void": _void,
}
