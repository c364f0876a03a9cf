"""Who takes part in the incident, in which order, and what each configuration of nginx does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import bench_process
import needs
from bench import incident
from bench.errors import PlanError
from bench.incident import CLOSES
from bench.plan import run_plan
from bench.plan.run_plan import IDIOMS
from bench.report.run import incident as report
from bench.runs.record import Run, SubjectRecord, TimeWait, Trial, Upstream
from bench.subjects import programs
from bench_process import trials

EVERYBODY = list(incident.entrants())


def test_nginx_takes_part_with_every_idiom_before_and_since_the_new_defaults() -> None:
    nginx = [entrant.subject for entrant in EVERYBODY if entrant.subject.name == "nginx"]
    assert [(subject.program, subject.idiom) for subject in nginx] == [
        (program, idiom) for program in ("system", "wheel") for idiom in IDIOMS
    ]


def test_the_others_take_part_with_and_without_reuse() -> None:
    others = [(e.subject.name, e.mode.value) for e in EVERYBODY if e.subject.name != "nginx"]
    assert others == [
        (name, mode) for name in ("haproxy", "envoy", "caddy") for mode in ("short", "keepalive")
    ]


def test_everybody_takes_part_with_every_backend() -> None:
    first, second = CLOSES
    a, b = EVERYBODY[:2]
    assert incident.pairs([a, b]) == [(a, first), (a, second), (b, first), (b, second)]


def test_who_is_not_here_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str, where: str | None = None) -> programs.Program:
        if name == "envoy":
            raise PlanError("envoy is not here")
        return programs.Program(name, f"/{name}", "1.31.3")

    monkeypatch.setattr(programs, "find", find)
    here, absent = incident.present(EVERYBODY)
    assert absent == ["envoy is not here"]
    assert len(here) == len(EVERYBODY) - 2


@pytest.mark.parametrize(
    "values",
    [
        {"mode": "short", "subject": {"name": "nginx", "idiom": "magic"}},
        {"mode": "both", "subject": {"name": "nginx", "idiom": "full"}},
        {"mode": "short", "subject": {"name": "caddy", "idiom": "full"}},
    ],
)
def test_an_idiom_belongs_to_nginx_and_to_one_mode(values: dict[str, object]) -> None:
    with pytest.raises(PlanError, match=r"subject\.idiom"):
        run_plan.build(values)


def made_up(number: int, name: str, rate: float, opened: int, held: tuple[int, int]) -> Trial:
    """Return a trial of a thousand requests; `held` is TIME_WAIT on the proxy's side and the backend's."""
    proxy_side, backend_side = held
    sides = {"proxy": TimeWait(), "client": TimeWait(), "backend": TimeWait(end=backend_side)}
    return replace(
        Trial(
            trial=number, mode="short", closes_first=None, subject=SubjectRecord(name, "1"), lab="namespaces"
        ),
        requests_per_s=rate,
        upstream=Upstream(requests_total=1000, connections_opened=opened),
        time_wait=sides,
        time_wait_by_hop={"backend": proxy_side},
    )


def test_a_row_tells_medians_and_who_holds_time_wait() -> None:
    told = [
        made_up(1, "a", 10.0, 1000, (900, 100)),
        made_up(2, "b", 99.0, 32, (32, 0)),
        made_up(3, "a", 30.0, 1000, (700, 300)),
        made_up(4, "a", 20.0, 1000, (800, 200)),
        made_up(5, "c", 20.0, 1000, (10, 990)),
        made_up(6, "d", 20.0, 1000, (0, 0)),
    ]
    rows = report.build_rows(Run({}, {}, "now", tuple(told)))
    assert [(row.name, row.rate, row.per_request, row.holder) for row in rows] == [
        ("a", 20.0, 1.0, "proxy"),
        ("b", 99.0, 0.032, "nobody"),
        ("c", 20.0, 1.0, "backend"),
        ("d", 20.0, 1.0, "nobody"),
    ]
    assert (rows[0].proxy_side, rows[0].backend_side) == (800, 200)


def test_time_wait_that_nobody_measured_is_no_zero() -> None:
    unseen = replace(made_up(1, "a", 10.0, 1000, (0, 0)), time_wait_by_hop={})
    run = Run({"backend": {"close": "at-once"}}, {}, "now", (unseen,))
    (row,) = report.build_rows(run)
    assert (row.proxy_side, row.holder) == (None, "unseen")
    table = report.build_table(run)
    assert table.rows[0][table.columns.index("TIME_WAIT proxy")] == "-"


def test_the_sentence_names_the_best_the_worst_and_where_ports_go() -> None:
    told = [
        made_up(1, "a", 900.0, 1000, (900, 100)),
        made_up(2, "b", 9000.0, 32, (32, 0)),
        made_up(3, "c", 500.0, 1000, (10, 990)),
    ]
    assert report.summarize(Run({}, {}, "now", tuple(told))) == (
        "b serves most, 9,000/s on 0.032 connections a request, and c least, 500/s on 1; 1 of 3"
        " configurations reuse their connections, and with 1 the proxy holds TIME_WAIT."
    )


def test_a_run_of_many_subjects_is_shown_by_subject_and_has_no_sides() -> None:
    where = Path(__file__).parent.parent / "results" / "reference-incident-at-once"
    shown = bench_process.run("show", str(where))
    assert (shown.returncode, shown.stdout.count("\n nginx ")) == (0, 12)
    compared = bench_process.run("compare", str(where))
    assert (compared.returncode, compared.stdout) == (2, "")
    assert "18 subjects, side by side already" in compared.stderr


def test_the_table_and_the_picture_have_a_part_for_each_backend(tmp_path: Path) -> None:
    trial = made_up(1, "a", 10.0, 1000, (900, 100))
    runs = [Run({"backend": {"close": close}}, {}, "now", (trial,)) for close in CLOSES]
    text = report.format_tables(runs)
    assert all(f"backend closes {close}" in text for close in CLOSES)
    assert "1.0000" in text
    assert all(path.stat().st_size > 1000 for path in report.save(runs, tmp_path / "incident"))


# -- by traffic: (idiom, reuses on 1.22, reuses on 1.29.7 and newer)
REUSE = (
    ("default", False, True),
    ("snippet", False, True),
    ("pool-only", False, True),
    ("pool-http11", False, True),
    ("full", True, True),
)


@pytest.mark.long
@needs.in_namespaces
@pytest.mark.parametrize("where", ["system", "wheel"])
@pytest.mark.parametrize(("idiom", "before", "since"), REUSE)
def test_an_idiom_reuses_or_not_by_version(
    where: str, idiom: str, before: bool, since: bool, tmp_path: Path
) -> None:
    needs.need(f"nginx@{where}")
    version = programs.find("nginx", where).version
    path = tmp_path / "plan.toml"
    path.write_text(
        f"mode = 'short'\ntrials = 1\n[subject]\nname = 'nginx'\nprogram = '{where}'\nidiom = '{idiom}'\n"
        "[load]\nconnections = 16\nwarmup_s = 0.2\nduration_s = 0.5\n",
        encoding="utf-8",
    )
    (trial,) = trials(path, root=tmp_path)
    is_new = tuple(map(int, version.split("."))) >= (1, 29, 7)
    per_connection = trial["upstream"]["requests_per_connection"]
    assert per_connection > 1 if (since if is_new else before) else per_connection == 1.0
    if idiom == "snippet" and not is_new:
        opened = trial["upstream"]["connections_opened"]
        assert (trial["time_wait"]["proxy"]["end"], trial["time_wait"]["backend"]["end"]) == (opened, 0)
