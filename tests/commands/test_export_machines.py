"""`bench export` and `--json` of a run on a cluster: each machine by name, and nothing of a run without."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
from prometheus_client.openmetrics import parser

from bench.commands import json_output
from bench.report import html
from bench.report.sweep import page as sweep_page
from bench.report.sweep import text as sweep_text
from tests import command_line, made_up_sweep, synthetic
from tests.synthetic import KEEPALIVE, SHORT
from tests.synthetic_cluster import Fleet, write

FLEET = Fleet(2, 2, 1, lost={"client-2": 4}, unlike={"proxy-2": {"kernel": "6.12.5"}})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("run"), {"short": SHORT, "keepalive": KEEPALIVE}, FLEET)


def export(folder: Path, *arguments: str) -> str:
    done = command_line.run("export", folder, *arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def machines_of(run: Path) -> list[dict[str, dict[str, float]]]:
    """Return what run.jsonl says of the machines in each trial, by name."""
    lines = (run / "run.jsonl").read_text().splitlines()[1:]
    return [{each["name"]: each for each in json.loads(line)["machines"]} for line in lines]


def test_csv_has_a_row_for_each_figure_of_each_machine(run: Path) -> None:
    found = {(row["case"], row["metric"]): row for row in rows(export(run, "--format", "csv"))}
    used = sorted(trial["proxy-2"]["ports_used_peak"] for trial in machines_of(run)[::2])
    row = found["short", "machines.proxy-2.ports_used_peak"]
    assert (float(row["median"]), row["standing"], row["trials"]) == (used[1], "counts", "3")
    assert found["short", "machines.client-1.requests_per_s"]["standing"] == "mixed"
    assert found["keepalive", "machines.client-1.requests_per_s"]["trials"] == "2"  # one machine was lost
    assert ("short", "machines.backend-1.ports_used_peak") not in found


def test_csv_of_trials_has_a_column_for_each_figure_of_each_machine(run: Path) -> None:
    found = rows(export(run, "--format", "csv", "--trials"))
    name = "machines.client-2.opened"
    assert [row[name] for row in found] == ["32.0", "32.0", "32.0", "", "32.0", "32.0"]
    assert found[3]["machines.client-2.clock_error_ms"] == "0.05"


def test_openmetrics_has_machine_and_role_as_labels(run: Path) -> None:
    families = {
        family.name: family
        for family in parser.text_string_to_metric_families(export(run, "--format", "openmetrics"))  # type: ignore[no-untyped-call]
    }
    lost = {each.labels["machine"]: each.value for each in families["bench_machine_lost_trials"].samples}
    assert lost == {"client-1": 0, "client-2": 1, "proxy-1": 0, "proxy-2": 0, "backend-1": 0}
    kernels = {each.labels["machine"]: each.labels["kernel"] for each in families["bench_machine"].samples}
    assert (kernels["proxy-1"], kernels["proxy-2"]) == ("6.1.0-40-amd64", "6.12.5")
    (share,) = [
        each
        for each in families["bench_machine_ports_share_of_half"].samples
        if each.labels["machine"] == "proxy-2" and each.labels["case"] == "short"
    ]
    assert share.labels["role"] == "proxy"
    assert share.value == pytest.approx(2 * 16_340 / 28_232, rel=0.01)


def test_markdown_has_a_table_of_the_machines_and_one_for_each_mode(run: Path) -> None:
    lines = export(run).splitlines()
    heads = [line for line in lines if line.startswith(("| machine |", "| short |", "| keepalive |"))]
    assert len(heads) == 3
    assert sum(line.startswith("| proxy-2 |") for line in lines) == 3
    assert any(line.startswith("- the machines differ in kernel (6.12.5 on proxy-2;") for line in lines)


@pytest.mark.parametrize("output_format", ["csv", "openmetrics", "markdown"])
def test_an_export_of_a_run_on_one_machine_says_nothing_of_machines(
    output_format: str, tmp_path: Path
) -> None:
    folder = synthetic.write(tmp_path, {"keepalive": KEEPALIVE}, trials=1)
    text = export(folder, "--format", output_format)
    assert not any(each in text for each in ("machines", "bench_machine", "client-1"))


def test_json_names_the_machines_and_is_what_its_schema_says(run: Path) -> None:
    printed = json.loads(command_line.run("show", "--json", run).stdout)
    jsonschema.validate(printed, json_output.schema("show"))
    assert [each["name"] for each in printed["machines"]] == [name for name, _ in FLEET.names]
    (short, _) = printed["cases"]
    figures = {
        (each["name"], figure["metric"]): figure["median"]
        for each in short["machines"]
        for figure in each["figures"]
    }
    assert figures["proxy-1", "accepted"] == 32
    assert [each["role"] for each in short["machines"]] == ["client", "client", "proxy", "proxy", "backend"]


def test_the_lines_of_a_run_are_what_the_schema_of_results_says(run: Path) -> None:
    schema = json.loads((Path(__file__).parents[2] / "results" / "schema.json").read_text())
    for line in (run / "run.jsonl").read_text().splitlines():
        jsonschema.validate(json.loads(line), schema)


def test_a_sweep_on_a_cluster_names_its_machines() -> None:
    swept = made_up_sweep.run({made_up_sweep.POOL_IDLE: [1, 2]})
    on_cluster = replace(swept, machines=FLEET.records())
    assert "proxy-2" not in sweep_text.format_run(swept)
    told = sweep_text.format_run(on_cluster)
    assert [line.split()[:2] for line in told.splitlines() if line.startswith(" proxy-2 ")] == [
        ["proxy-2", "10.83.1.2"]
    ]
    assert "the machines differ in kernel (6.12.5 on proxy-2; else 6.1.0-40-amd64)" in told
    page = html.render(sweep_page.build_page(on_cluster))
    assert "on 2 clients, 2 proxies, 1 backend." in page
    assert "10.83.1.2" in page
