"""`bench export`: each figure of a run as it is in run.jsonl, none that may not be quoted."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from prometheus_client.openmetrics import parser

from tests import command_line, made_up_sweep, synthetic

SCENARIO = Path(__file__).parents[2] / "results" / "reference-rpc"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stories = {"short": synthetic.SHORT, "keepalive": synthetic.KEEPALIVE}
    return synthetic.write(tmp_path_factory.mktemp("run"), stories, trials=6)


@pytest.fixture(scope="module")
def void(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same run, of which no trial counts for rates and times."""
    folder = tmp_path_factory.mktemp("void")
    header, *trials = (run / "run.jsonl").read_text().splitlines()
    warning = {"code": "generator-saturated", "message": "it waited", "advice": "", "voids": True}
    spoiled = [json.dumps({**json.loads(line), "valid": False, "warnings": [warning]}) for line in trials]
    (folder / "run.jsonl").write_text("\n".join([header, *spoiled]) + "\n")
    return folder


def test_the_markdown_of_a_sweep_has_a_row_for_each_cell(tmp_path: Path) -> None:
    folder = made_up_sweep.write(tmp_path, made_up_sweep.run({made_up_sweep.POOL_IDLE: [1, 2, 4]}))
    lines = export(folder, "--format", "markdown").splitlines()
    assert lines[0] == "### A sweep of pool-idle: 3 cells"
    assert lines[2].startswith(
        "**Run: valid.** pool-idle 1 to 4: connections per 1,000 requests goes from 500 to "
    )
    assert [line.split(" | ")[0] for line in lines if line.startswith("| ")][1:] == ["| 1", "| 2", "| 4"]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def measured(run: Path, mode: str, *keys: str) -> list[float]:
    """Return a figure of each trial of a mode, as run.jsonl has it."""
    found = []
    for line in (run / "run.jsonl").read_text().splitlines()[1:]:
        value = json.loads(line)
        if value["mode"] == mode:
            for key in keys:
                value = value[key]
            found.append(float(value))
    return found


def export(run: Path, *arguments: str) -> str:
    done = command_line.run("export", run, *arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    ("mode", "keys"),
    [
        ("keepalive", ("requests_per_s",)),
        ("keepalive", ("latency_ms", "p99")),
        ("short", ("ports", "rate_before")),
        ("short", ("cpu_us_per_request_before_cliff", "proxy")),
    ],
)
def test_csv_and_openmetrics_have_the_median_of_the_trials_and_its_interval(
    run: Path, mode: str, keys: tuple[str, ...]
) -> None:
    values = measured(run, mode, *keys)
    expected = [statistics.median(values), min(values), max(values)]  # six values: 1 - 2 / 2**6 is 96.9 %
    (row,) = (
        row
        for row in rows(export(run, "--format", "csv"))
        if (row["case"], row["metric"]) == (mode, ".".join(keys))
    )
    assert [float(row[key]) for key in ("median", "low", "high")] == pytest.approx(expected)
    assert (row["standing"], row["trials"]) == ("counts", "6")
    families = {
        family.name: family
        for family in parser.text_string_to_metric_families(  # type: ignore[no-untyped-call]
            export(run, "--format", "openmetrics")
        )
    }
    samples = {
        sample.labels["statistic"]: sample.value
        for sample in families["bench_" + "_".join(keys)].samples
        if sample.labels["case"] == mode
    }
    assert [samples[name] for name in ("median", "low", "high")] == pytest.approx(expected)


def test_an_average_over_the_cliff_has_no_median(run: Path) -> None:
    standing = {
        (row["case"], row["metric"]): (row["standing"], row["median"])
        for row in rows(export(run, "--format", "csv"))
    }
    assert standing["short", "requests_per_s"] == ("mixed", "")
    assert standing["keepalive", "requests_per_s"][0] == "counts"


def test_what_is_void_is_quoted_in_no_format(void: Path) -> None:
    rates = {
        f"{rate:,.0f}" for mode in ("short", "keepalive") for rate in measured(void, mode, "requests_per_s")
    }
    page = export(void)
    assert "Run: invalid" in page
    assert not any(rate in page for rate in rates)
    assert "bench_requests_per_s" not in export(void, "--format", "openmetrics")
    assert all(
        row["median"] == ""
        for row in rows(export(void, "--format", "csv"))
        if row["metric"] == "requests_per_s"
    )


def test_the_rows_of_trials_are_the_trials(run: Path) -> None:
    found = rows(export(run, "--format", "csv", "--trials"))
    assert [row["trial"] for row in found] == [str(number) for number in range(1, 13)]
    rates = [float(row["requests_per_s"]) for row in found if row["case"] == "short"]
    assert rates == measured(run, "short", "requests_per_s")


@pytest.mark.parametrize(
    "folder", ["reference", "reference-incident-at-once", "reference-rpc", "reference-tls"]
)
def test_each_kind_of_run_is_one_table_with_its_claim_above(folder: str) -> None:
    page = export(SCENARIO.with_name(folder))
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    kinds = [token.type for token in tokens]
    assert kinds[0] == "heading_open"
    assert kinds.count("table_open") == 1
    cells = [sum(token.type in ("td_open", "th_open") for token in row) for row in _split(tokens)]
    assert len(set(cells)) == 1


def _split(tokens: Sequence[Token]) -> list[list[Token]]:
    parts: list[list[Token]] = []
    for token in tokens:
        if token.type == "tr_open":
            parts.append([])
        elif parts and token.type in ("td_open", "th_open"):
            parts[-1].append(token)
    return parts


def test_a_file_is_written_where_it_is_named(run: Path, tmp_path: Path) -> None:
    done = command_line.run("export", run, "--format", "csv", "-o", tmp_path / "a.csv")
    assert done.stdout == f"csv: {tmp_path / 'a.csv'}\n"
    assert rows((tmp_path / "a.csv").read_text()) == rows(export(run, "--format", "csv"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--trials",), "--trials has no effect beside --format markdown; write --format csv"),
        (("--format", "xml"), "'xml' is not one of 'csv', 'openmetrics', 'markdown'"),
    ],
)
def test_misuse_is_one_line(run: Path, arguments: tuple[str, ...], message: str) -> None:
    done = command_line.run("export", run, *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
