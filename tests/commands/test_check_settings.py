"""`.bench-check.toml` and the options that are about one upstream {}."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from bench.commands import settings_file
from bench.commands.check import check_command
from tests import command_line

TEXT = """\
upstream app { server 10.0.0.1:8080; keepalive 32; }
upstream api { server 10.0.0.2:8080; keepalive 32; }
server {
    proxy_http_version 1.1; proxy_set_header Connection "";
    location / { proxy_pass http://app; }
    location /api/ { proxy_pass http://api; }
}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "nginx.conf").write_text(TEXT)
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def findings(*args: str) -> list[dict[str, Any]]:
    done = command_line.run("check", "nginx.conf", "--format", "json", *args)
    assert not done.stderr
    return list(json.loads(done.stdout)["findings"])


def lines_of(rule: str, *args: str) -> list[int]:
    """Return the lines of the findings of a rule, with options or with what a file says."""
    return [each["line"] for each in findings("--nginx-version", "1.31.4", *args) if each["rule"] == rule]


@pytest.mark.parametrize(
    ("given", "flagged"),
    [
        (["20s"], [1, 2]),
        (["app=20s"], [1]),
        (["APP=puma"], [1]),
        (["5s", "app=120s"], [2]),
        (["app=20s", "app=2m"], []),
    ],
)
def test_the_idle_time_of_one_upstream(given: list[str], flagged: list[int], folder: Path) -> None:
    args = [arg for value in given for arg in ("--backend-idle", value)]
    assert lines_of("NK021", *args) == flagged


@pytest.mark.parametrize(("given", "flagged"), [(["20"], [1, 2]), (["app=20"], [1]), (["20", "app=99"], [2])])
def test_the_capacity_of_one_upstream(given: list[str], flagged: list[int], folder: Path) -> None:
    args = [arg for value in given for arg in ("--backend-max-connections", value)]
    assert lines_of("NK023", "--workers", "1", *args) == flagged


def test_an_upstream_that_is_not_there_is_named(folder: Path) -> None:
    args = ["--backend-idle", "ap=20s", "--backend-max-connections", "API=9", "--nginx-version", "1.31.4"]
    done = command_line.run("check", "nginx.conf", *args)
    assert done.stderr.splitlines() == [
        'bench: no upstream {} is called "ap", which is given a value; there is "app"'
    ]


def test_the_file_is_what_the_options_say(folder: Path) -> None:
    (folder / settings_file.NAME).write_text('[upstream.app]\nbackend-idle = "puma"\n')
    assert lines_of("NK021") == [1]
    assert lines_of("NK021", "--backend-idle", "api=20s") == [2]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("workers = 0", "workers: 0 is not in the range"),
        ("wokers = 1", "there is no key 'wokers'"),
        ("workers", "cannot be read"),
        ('fail-on = "bad"', "fail-on: 'bad' is not one of"),
        ('show = "bad"', "show: 'bad' is not one of"),
        ('severity = "low"', "there is no key 'severity'"),
        ('backend-idle = "never"', "backend-idle: 'never' is neither a time"),
        ("upstream = 3", "upstream is a table of tables"),
        ("[upstream.app]\nidle = 3", "[upstream.app] takes"),
    ],
)
def test_a_mistake_names_the_file_and_the_key(text: str, named: str, folder: Path) -> None:
    (folder / settings_file.NAME).write_text(text)
    done = command_line.run("check", "nginx.conf")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"{settings_file.NAME}: {named}" in done.stderr


def test_the_nearest_file_within_the_repository_counts(tmp_path: Path) -> None:
    inner = tmp_path / "repository/nginx"
    inner.mkdir(parents=True)
    (tmp_path / settings_file.NAME).write_text("")
    (tmp_path / "repository/.git").mkdir()
    assert settings_file.find(inner) is None
    (tmp_path / "repository" / settings_file.NAME).write_text("")
    assert settings_file.find(inner) == tmp_path / "repository" / settings_file.NAME


def test_each_key_is_an_option() -> None:
    options = {name for each in check_command.params if isinstance(each, click.Option) for name in each.opts}
    assert {f"--{key}" for key in settings_file.KEYS} <= options


CLIENT = "events {{}} http {{ server {{ listen 80; {} location / {{ root /srv; }} }} }}"


@pytest.mark.parametrize(
    ("timeout", "front", "severities"),
    [
        ("keepalive_timeout 30s;", None, ["low"]),
        ("", None, []),
        ("", "alb", []),
        ("", "gorouter", ["medium"]),
        ("", "75s", ["medium"]),
        ("keepalive_timeout 91s;", "90s", []),
        ("keepalive_timeout 620s;", "GCLB", []),
        ("keepalive_timeout 65;", "gclb", ["medium"]),
        ("keepalive_timeout 0;", "gclb", []),
        ("", "nlb", ["low"]),
        ("keepalive_timeout 335s;", "nlb", []),
        ("keepalive_timeout 10m;", "nlb", ["medium"]),
        ("keepalive_timeout 240s;", "azure", ["medium"]),
        ("", "Heroku", ["medium"]),
        ("", "cloudfront", []),
    ],
)
def test_what_is_in_front(timeout: str, front: str | None, severities: list[str], folder: Path) -> None:
    (folder / "nginx.conf").write_text(CLIENT.format(timeout))
    args = ["--nginx-version", "1.31.4", "--allow-empty", *(["--front-idle", front] if front else [])]
    assert [each["severity"] for each in findings(*args) if each["rule"] == "CK104"] == severities


def test_rules_are_listed() -> None:
    done = command_line.run("check", "--rules")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "NK005  high   Header lines of an inner level replace" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_markdown(folder: Path) -> None:
    shown = command_line.run(
        "check", "nginx.conf", "--nginx-version", "1.22.1,1.31.4", "--format", "markdown"
    )
    assert "| `location /` | `http://app` | `nginx.conf:5` | ✓ reused | ✓ reused |" in shown.stdout


BROKEN = TEXT.replace("proxy_http_version 1.1;", "proxy_http_version 1.0;")
OLD = ("--nginx-version", "1.22.1")


@pytest.fixture
def accepted(folder: Path) -> Path:
    (folder / "nginx.conf").write_text(BROKEN)
    done = command_line.run("check", "nginx.conf", *OLD, "--write-baseline", "accepted.json")
    assert (done.exit_code, done.stderr) == (0, "")
    return folder / "accepted.json"


def check_with(accepted: Path, *args: str) -> command_line.Done:
    return command_line.run("check", "nginx.conf", *OLD, "--baseline", str(accepted), *args)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("upstream app", "\n\n# more lines\nupstream app"),
        ("    location / {", "    # a comment\n\n    location / {"),
        ("server 10.0.0.1:8080;", "server 10.0.0.9:8080;"),
    ],
)
def test_a_baseline_survives_lines_that_move(old: str, new: str, accepted: Path) -> None:
    (accepted.parent / "nginx.conf").write_text(BROKEN.replace(old, new, 1))
    done = check_with(accepted)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "not shown, accepted by the baseline" in done.stdout


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("location /api/ {", "location /more/ { proxy_pass http://app; }\n    location /api/ {"),
        ("proxy_http_version 1.0;", "proxy_http_version 1.1; proxy_set_header Connection close;"),
        ("http://api;", "http://10.0.0.9;"),
    ],
)
def test_what_is_new_is_not_accepted(old: str, new: str, accepted: Path) -> None:
    (accepted.parent / "nginx.conf").write_text(BROKEN.replace(old, new, 1))
    assert check_with(accepted).exit_code == 1


def test_a_baseline_says_what_is_not_there_any_more(accepted: Path) -> None:
    (accepted.parent / "nginx.conf").write_text(TEXT)
    done = check_with(accepted)
    assert done.exit_code == 0
    assert "accepted before, and not found for nginx" in done.stderr


def test_a_baseline_does_not_depend_on_where_it_is_called_from(
    accepted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(accepted.parent.parent)
    path = str(accepted.parent / "nginx.conf")
    assert command_line.run("check", path, *OLD, "--baseline", str(accepted)).exit_code == 0


@pytest.mark.parametrize("text", ["", "{}", '{"format": "x"}', "[]"])
def test_what_is_no_baseline_is_refused(text: str, folder: Path) -> None:
    (folder / "accepted.json").write_text(text)
    done = check_with(folder / "accepted.json")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("ignored", "code"),
    [(["NK002"], 0), (["nk002=*.conf"], 0), (["NK002=other/*"], 1), (["NK003"], 1)],
)
def test_rules_are_ignored(ignored: list[str], code: int, folder: Path) -> None:
    (folder / "nginx.conf").write_text(BROKEN)
    args = [arg for value in ignored for arg in ("--ignore", value)]
    assert command_line.run("check", "nginx.conf", *OLD, *args).exit_code == code
    (folder / settings_file.NAME).write_text(f"ignore = {json.dumps(ignored)}")
    assert command_line.run("check", "nginx.conf", *OLD).exit_code == code


def test_a_reason_in_a_baseline_is_shown_and_kept(accepted: Path) -> None:
    values = json.loads(accepted.read_text())
    for each in (*values["findings"], *values["locations"]):
        each["reason"] = "until the move"
    accepted.write_text(json.dumps(values))
    done = check_with(accepted)
    assert (done.exit_code, "accepted by the baseline" in done.stdout) == (0, True)
    assert ": until the move" in done.stdout
    again = command_line.run("check", "nginx.conf", *OLD, "--write-baseline", str(accepted))
    assert again.exit_code == 0
    assert json.loads(accepted.read_text()) == values


def test_a_baseline_is_written_over_nothing_else(folder: Path) -> None:
    (folder / "nginx.conf").write_text(BROKEN)
    done = command_line.run("check", "nginx.conf", *OLD, "--write-baseline", "nginx.conf")
    assert (done.exit_code, (folder / "nginx.conf").read_text()) == (2, BROKEN)


def test_only_broken_shows_the_worst_first(folder: Path) -> None:
    text = TEXT.replace("location / {", "location / { proxy_set_header Connection close;")
    text = text.replace("upstream api", "upstream other { server 10.0.0.3; } upstream api").replace(
        "location /api/", "location /other/ { proxy_pass http://other; } location /api/"
    )
    (folder / "nginx.conf").write_text(text)
    args = ["--nginx-version", "1.22.1,1.31.4", "--only", "broken"]
    done = command_line.run("check", "nginx.conf", *args)
    headings = [line for line in done.stdout.splitlines() if " -> " in line]
    assert [heading.split(" -> ")[0] for heading in headings] == ["location /", "location /other/"]
    assert "1 location not shown in which nothing fails" in done.stdout
    assert "of 3 locations, 1 reused, 2 not reused" in done.stdout


def test_the_example_of_the_documents_is_read(folder: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "check-and-repair-a-configuration.md"
    (example,) = (part for part in page.read_text().split("```toml") if "[upstream.app]" in part)
    example = example.partition("```")[0]
    (folder / settings_file.NAME).write_text(example)
    accepted = {"format": "bench check baseline 2", "findings": [], "locations": []}
    (folder / "accepted.json").write_text(json.dumps(accepted))
    done = command_line.run("check", "nginx.conf", "--format", "json")
    assert not done.stderr
    assert next(iter(json.loads(done.stdout)["versions"])) == "1.26.3"
