"""A repair makes no location worse: what check says before and after, of configurations of all kinds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nginx
from nginx.check import check
from nginx.fix.repair import Repair, fix, write
from nginx.rules import CATALOGUE, CheckSettings, Rule
from tests.nginx.fix.generated import configurations
from tests.nginx.fix.never_worse import worsened

OLD, HTTP2, NEW = "1.22.1", "1.29.5", "1.31.4"
VERSIONS = ([OLD], [NEW], [OLD, NEW], [HTTP2, NEW])
LOADS = (
    CheckSettings(),
    CheckSettings(concurrency=64),
    CheckSettings(backend_idle_s=5),
    CheckSettings(workers=2, backend_max_connections=10),
    CheckSettings(workers=2, backend_max_connections=400, concurrency=32),
    CheckSettings(workers=4, backend_max_connections=3),
)
CONF = Path(nginx.__file__).parent / "conf"
CORPUS = os.environ.get("BENCH_CORPUS")


def assert_never_worse(text: str, nginx_versions: Sequence[str], load: CheckSettings) -> Repair:
    """Repair a text; nothing in it is worse, what is repaired reuses connections, and that was all."""
    repair = fix("x", nginx_versions, settings=load, text=text)
    repaired = repair.after.get("x", text)
    before, after = (check("x", nginx_versions, settings=load, text=each) for each in (text, repaired))
    assert list(worsened(before, after)) == [], repair.diff()
    if not repair.refused:
        # Which of the protocols leaves a shared pool is for its owner to say.
        mixed = {place for each in after.findings if each.rule == "NK030" for place in each.passes}
        broken = [
            each.place
            for each in after.locations
            if {verdict.answer for verdict in each.verdicts.values()} != {"reused"}
        ]
        sure = [place for place in broken if place not in mixed]
        assert len(sure) <= len(repair.skipped) <= len(broken), (repair.skipped, repair.diff())
    again = fix("x", nginx_versions, settings=load, text=repaired)
    assert again.diff() == "", repair.diff()
    return repair


def many(examples: int, *, same: bool) -> settings:
    return settings(
        max_examples=examples, deadline=None, derandomize=same, suppress_health_check=list(HealthCheck)
    )


@many(40, same=True)
@given(configurations(), st.sampled_from(VERSIONS), st.sampled_from(LOADS))
def test_generated_configurations(text: str, nginx_versions: list[str], load: CheckSettings) -> None:
    assert_never_worse(text, nginx_versions, load)


@pytest.mark.long
@many(200, same=True)
@given(configurations(), st.sampled_from(VERSIONS), st.sampled_from(LOADS))
def test_many_generated_configurations(text: str, nginx_versions: list[str], load: CheckSettings) -> None:
    assert_never_worse(text, nginx_versions, load)


@pytest.mark.parametrize("rule", CATALOGUE.values(), ids=lambda rule: rule.id)
def test_examples_of_the_rules(rule: Rule) -> None:
    for text in (rule.bad, rule.good):
        for nginx_versions in VERSIONS:
            assert_never_worse(text, nginx_versions, CheckSettings())


def files() -> Iterator[tuple[Path, list[Path]]]:
    yield from ((path, []) for path in sorted(CONF.glob("*.conf")))
    if CORPUS is not None:
        folder = Path(CORPUS)
        for entry in json.loads((folder / "index.json").read_text())["files"]:
            yield folder / entry["file"], [folder / name for name in entry.get("includes", [])]


@pytest.mark.parametrize(("path", "extra_files"), list(files()), ids=lambda each: getattr(each, "name", ""))
def test_files(path: Path, extra_files: list[Path], tmp_path: Path) -> None:
    own = [tmp_path / file.name for file in (path, *extra_files)]
    for new, old in zip(own, (path, *extra_files), strict=True):
        new.write_bytes(old.read_bytes())
    for number, nginx_versions in enumerate(VERSIONS):
        load = LOADS[number % len(LOADS)]
        before = check(own[0], nginx_versions, extra_files=own[1:], settings=load)
        repair = fix(own[0], nginx_versions, extra_files=own[1:], settings=load)
        write(repair)
        after = check(own[0], nginx_versions, extra_files=own[1:], settings=load)
        assert list(worsened(before, after)) == [], repair.diff()
