"""Who takes part in the incident, in which order, and what each configuration of nginx does."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import incident
from bench.errors import PlanError
from bench.incident import CLOSES
from bench.plan import run_plan
from bench.plan.run_plan import IDIOMS
from bench.subjects import programs
from tests import bench_process, needs
from tests.bench_process import trials

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


def test_a_run_of_many_subjects_is_shown_by_subject_and_has_no_sides() -> None:
    where = Path(__file__).parent.parent / "results" / "reference-incident-at-once"
    shown = bench_process.run("show", str(where))
    assert (shown.returncode, shown.stdout.count("\n nginx ")) == (0, 12)
    compared = bench_process.run("compare", str(where))
    assert (compared.returncode, compared.stdout) == (2, "")
    assert "18 subjects, side by side already" in compared.stderr


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
