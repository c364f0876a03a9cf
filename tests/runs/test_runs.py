"""Results on disk: written and read back, damaged, of another format, cut off in the middle."""

import json
import os
import re
import stat
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis import histogram
from bench.errors import ResultsError
from bench.machine import describe
from bench.plan import run_plan as plans
from bench.runs import read, storage, timeline
from bench.runs.record import Latencies
from tests import needs
from tests.synthetic import KEEPALIVE, MACHINE, SHORT, STARTED, trial, write

PLAN = plans.build({"mode": "both"}).to_json()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path, {"short": SHORT, "keepalive": KEEPALIVE}, trials=2, duration_s=2.0)


def rewrite(file: Path, edit: Callable[[int, str], str]) -> None:
    """Rewrite `file`, line by line, as `edit` says; lines are numbered from 1."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(edit(number, line) for number, line in enumerate(lines, 1)), encoding="utf-8")


def test_a_run_comes_back_as_it_was_written(folder: Path) -> None:
    run = read.read(folder)
    assert folder.name == "20260314T150926Z-both-asyncio"
    assert run.plan == plans.build({"mode": "both", "trials": 2}).to_json()
    assert (run.machine, run.started, run.damage) == (MACHINE, "2026-03-14T15:09:26+00:00", ())
    stories = [("short", SHORT), ("keepalive", KEEPALIVE)] * 2
    expected = [trial(number, mode, story, 2.0)[0] for number, (mode, story) in enumerate(stories, 1)]
    assert list(run.trials) == expected
    assert read.read(folder / "run.jsonl") == run


def test_the_timeline_comes_back_as_it_was_written(folder: Path) -> None:
    rows = timeline.read(folder)
    stories = [("short", SHORT), ("keepalive", KEEPALIVE)] * 2
    made = [trial(number, mode, story, 2.0) for number, (mode, story) in enumerate(stories, 1)]
    assert list(rows.moments) == [moment for _, moments, _ in made for moment in moments]
    written = [latencies for _, _, each in made for latencies in each]
    assert len(rows.latencies) == len(written)
    for before, after in zip(written, rows.latencies, strict=True):
        assert (after.trial, after.mode, after.kind, after.t_s, after.duration_s) == (
            before.trial, before.mode, before.kind, before.t_s, before.duration_s,
        )  # fmt: skip
        assert sum(after.counts.values()) == sum(before.counts.values())
        for percent in (50, 99, 100):
            assert histogram.percentile(after.counts, percent) == pytest.approx(
                histogram.percentile(before.counts, percent), rel=1e-3
            )
    assert rows.damage == ()


@settings(max_examples=25, deadline=None)
@given(counts=st.dictionaries(st.integers(0, 3_600_000_000), st.integers(1, 10**9), min_size=1, max_size=30))
def test_a_histogram_keeps_counts_exactly_and_values_to_three_digits(
    tmp_path_factory: pytest.TempPathFactory, counts: dict[int, int]
) -> None:
    root = tmp_path_factory.mktemp("histogram")
    with storage.create(root, PLAN, MACHINE, started=STARTED) as writer:
        made, moments, _ = trial(1, "short", SHORT, 0.2)
        writer.add(made, moments, [Latencies(1, "short", "service", 0.0, 1.0, counts)])
    (written,) = timeline.read(writer.directory).latencies
    assert sum(written.counts.values()) == sum(counts.values())
    for before, after in zip(sorted(counts), (histogram.percentile(written.counts, 0),), strict=False):
        assert after == pytest.approx(before, rel=1e-3)


def test_other_tools_read_the_histogram_log(folder: Path) -> None:
    reader = HistogramLogReader(str(folder / "latency.hlog"), HdrHistogram(1, 3_600_000_000, 3))
    first = reader.get_next_interval_histogram()
    reader.close()
    assert first.get_tag() == "1.short.latency"
    mine = timeline.read(folder).latencies[0].counts
    assert first.get_total_count() == sum(mine.values())
    assert first.get_value_at_percentile(99) == pytest.approx(histogram.percentile(mine, 99), rel=1e-3)


def test_two_runs_of_the_same_second_do_not_overwrite_each_other(tmp_path: Path) -> None:
    stem = "20260314T150926Z-both-asyncio"
    with ExitStack() as stack:
        writers = [
            stack.enter_context(storage.create(tmp_path, PLAN, MACHINE, started=STARTED)) for _ in range(3)
        ]
        assert [writer.directory.name for writer in writers] == [stem, f"{stem}-2", f"{stem}-3"]


def test_a_run_without_a_trial_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), storage.create(tmp_path, PLAN, MACHINE, started=STARTED):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_readable_at_every_moment(tmp_path: Path) -> None:
    with storage.create(tmp_path, PLAN, MACHINE, started=STARTED) as writer:
        assert read.read(writer.directory).trials == ()
        for number in (1, 2):
            writer.add(*trial(number, "short", SHORT, 0.5))
            assert read.read(writer.directory) == writer.run
            assert len(writer.run.trials) == number


def test_a_line_that_was_cut_off_is_reported_and_the_rest_is_read(folder: Path) -> None:
    for name in ("run.jsonl", "timeline.csv", "latency.hlog"):
        file = folder / name
        file.write_bytes(file.read_bytes()[:-40])
    run, rows = read.read(folder), timeline.read(folder)
    assert [each.trial for each in run.trials] == [1, 2, 3]
    assert run.damage[0].startswith(f"{folder / 'run.jsonl'}:5: not a trial: ")
    assert [line.split(": ")[0].rpartition("/")[2].partition(":")[0] for line in rows.damage] == [
        "timeline.csv", "latency.hlog",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "not a JSON object"),
        ("7", "not a JSON object"),
        ('{"trial": 1}', "trial.subject is missing"),
        ('{"trial": NaN}', "NaN is not a number"),
        ("\x00\xff", "Expecting value"),
    ],
)
def test_a_damaged_line_is_named_and_left_out(folder: Path, line: str, reason: str) -> None:
    rewrite(folder / "run.jsonl", lambda number, old: f"{line}\n" if number == 3 else old)
    run = read.read(folder)
    assert [each.trial for each in run.trials] == [1, 3, 4]
    (damage,) = run.damage
    assert damage.startswith(f"{folder / 'run.jsonl'}:3: not a trial: ")
    assert reason in damage


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("requests_per_s",), "fast", "trial.requests_per_s = 'fast' is not a number"),
        (("trial",), 1.5, "trial.trial = 1.5 is not a whole number"),
        (("valid",), 1, "trial.valid = 1 is not true or false"),
        (("requests",), True, "trial.requests = True is not a whole number"),
        (("latency_ms", "p99"), [], "trial.latency_ms.p99 = [] is not a number"),
        (("errors", "status"), None, "trial.errors.status = None is not a whole number"),
        (("time_wait", "proxy", "peak"), "3", "trial.time_wait.proxy.peak = '3' is not a whole number"),
        (("ports", "tuples"), None, "trial.ports.tuples = None is not a whole number"),
        (("mode",), None, "trial.mode = None is not a text"),
        (("requests_per_s",), 1e999, "Infinity is not a number"),
    ],
)
def test_a_value_of_the_wrong_type_is_damage_not_a_crash_later_on(
    folder: Path, path: tuple[str, ...], value: object, reason: str
) -> None:
    def spoil(number: int, line: str) -> str:
        if number != 2:
            return line
        values = json.loads(line)
        inner = values
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return json.dumps(values) + "\n"

    rewrite(folder / "run.jsonl", spoil)
    assert read.read(folder).damage == (f"{folder / 'run.jsonl'}:2: not a trial: {reason}; left out",)


def test_damaged_rows_of_the_timeline_and_the_log_are_named(folder: Path) -> None:
    rewrite(folder / "timeline.csv", lambda n, line: "1,short,proxy,soon\n" if n == 2 else line)
    rewrite(folder / "latency.hlog", lambda n, line: line[:60] + "\n" if n == 5 else line)
    before = timeline.read(folder)
    assert before.damage[0].startswith(f"{folder / 'timeline.csv'}:2: not a moment: 4 of 15 cells")
    assert before.damage[1].startswith(f"{folder / 'latency.hlog'}:5: not an interval: ")
    assert len(before.moments) == 4 * 30 * 3 - 1


@pytest.mark.parametrize("moment", ["nan", "inf", "", "0x1"])
def test_a_moment_without_a_time_is_damage(folder: Path, moment: str) -> None:
    rewrite(
        folder / "timeline.csv",
        lambda n, line: re.sub(r"^(\d+,\w+,\w+),[^,]*", rf"\1,{moment}", line) if n == 3 else line,
    )
    (damage,) = timeline.read(folder).damage
    assert damage.startswith(f"{folder / 'timeline.csv'}:3: not a moment: ")


def test_a_timeline_with_another_head_is_not_guessed_at(folder: Path) -> None:
    rewrite(folder / "timeline.csv", lambda n, line: "a,b,c\n" if n == 1 else line)
    rows = timeline.read(folder)
    assert rows.moments == ()
    assert rows.damage[0].startswith(f"{folder / 'timeline.csv'}:1: not the header of a timeline")


def test_columns_of_a_later_bench_are_left_out(folder: Path) -> None:
    before = timeline.read(folder).moments
    rewrite(
        folder / "timeline.csv", lambda n, line: line.rstrip("\n") + (",colour\n" if n == 1 else ",blue\n")
    )
    assert timeline.read(folder).moments == before


def test_a_run_without_a_timeline_still_has_its_trials(folder: Path) -> None:
    for name in ("timeline.csv", "latency.hlog"):
        (folder / name).unlink()
    assert timeline.read(folder) == timeline.Series()
    assert len(read.read(folder).trials) == 4


@pytest.mark.parametrize(("known", "remedy"), [(7, "use a newer bench"), (1, "use the bench that wrote it")])
def test_another_format_is_refused_with_the_remedy(folder: Path, known: int, remedy: str) -> None:
    file = folder / "run.jsonl"
    rewrite(file, lambda n, line: line.replace('"format":2', f'"format":{known}') if n == 1 else line)
    with pytest.raises(ResultsError) as caught:
        read.read(folder)
    assert str(caught.value) == (f"{file}:1: is in format {known}, and this bench reads format 2; {remedy}")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "not the header of a run"),
        ("nonsense\n", "not the header of a run: no JSON (Expecting value"),
        ('{"format": 2}\n', "kind is missing"),
        ('{"plan": {}}\n', "format = None is not a number from 1"),
        ('{"format": "1", "plan": {}}\n', "format = '1' is not a number from 1"),
        (
            '{"format": 2, "kind": "run", "plan": [], "machine": {}, "started": ""}\n',
            "plan = [] is not a table",
        ),
        ('{"format": 2, "kind": "run", "plan": {}, "machine": {}, "started": ""}\n', "plan.subject"),
    ],
)
def test_without_a_header_there_is_no_run(tmp_path: Path, header: str, reason: str) -> None:
    (tmp_path / "run.jsonl").write_text(header)
    with pytest.raises(ResultsError) as caught:
        read.read(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'run.jsonl'}:1: ")
    assert reason in str(caught.value)


def test_a_run_that_is_not_there_is_refused_with_the_command_that_lists(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="there is no such result; `bench list` names those there are"):
        read.read(tmp_path / "nowhere")
    with pytest.raises(ResultsError, match="there is no such result"):
        read.read(tmp_path)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match=r"file: cannot be written to: .*; choose another folder with -o"):
        storage.create(tmp_path / "file", PLAN, MACHINE)


@needs.unless(os.geteuid() != 0, "an ordinary user", "root writes everywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(ResultsError, match="Permission denied; choose another folder with -o"):
        storage.create(tmp_path / "results", PLAN, MACHINE)


def test_runs_are_listed_from_the_oldest_with_the_unreadable_ones_first(tmp_path: Path) -> None:
    first = write(tmp_path, {"short": SHORT}, trials=1, duration_s=0.5)
    second = write(tmp_path, {"keepalive": KEEPALIVE}, trials=1, duration_s=0.5)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "run.jsonl").write_text("?\n")
    (tmp_path / "README.md").write_text("# not a run")
    found = read.runs(tmp_path)
    assert {each.directory for each in found[1:]} == {first, second}
    assert found[0].run is None
    assert found[0].to_json() == {"directory": str(broken), "problem": found[0].problem}
    assert found[1].to_json()["trials"] == 1


def test_a_folder_without_runs_is_an_empty_list(tmp_path: Path) -> None:
    assert read.runs(tmp_path / "nowhere") == []


def test_the_format_page_names_every_key_and_column(folder: Path) -> None:
    page = (Path(read.__file__).parents[2] / "results" / "README.md").read_text(encoding="utf-8")
    words = set(re.findall(r"[a-z0-9_]+", page))
    lines = [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]
    keys = {*lines[0], *lines[1], *describe.describe()}
    for name in ("upstream", "ports", "latency_ms", "errors"):
        keys |= set(lines[1][name])
    keys |= set((folder / "timeline.csv").read_text().splitlines()[0].split(","))
    assert sorted(keys - words) == []
