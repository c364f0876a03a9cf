"""What `bench check` exits with: nothing that was not judged is fine, and the worst version counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.commands import nginx_options
from bench.subjects import programs
from nginx import versions
from tests import command_line
from tests.command_line import Done

KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'
POOL = "upstream app { server 10.0.0.1:8080; keepalive 32; }\n"
GOOD = f"{POOL}server {{ location / {{ proxy_pass http://app; {KEPT} }} }}\n"
BAD = GOOD.replace("keepalive 32; ", "")
DEPENDS = GOOD.replace("http://app", "http://$arg_to")
ARTICLE = Path(__file__).parent.parent.parent / "nginx/conf/article.conf"
Install = Callable[[str | None], None]
NGINX = "/usr/sbin/nginx"
OLD = ["--nginx-version", "1.22.1"]


def check(*args: str | Path, text: str | bytes = "") -> Done:
    return command_line.run("check", *args, stdin=text)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that makes a version of nginx, or none, the one that is installed."""

    def install(version: str | None) -> None:
        path = None if version is None else NGINX
        monkeypatch.setattr(nginx_options, "installed_version", lambda: version)
        monkeypatch.setattr(nginx_options, "installed_nginx", lambda: path)

    return install


# Nothing judged


@pytest.mark.parametrize("text", ["", "\n", " \r\n\t", "\ufeff"])
@pytest.mark.parametrize("command", ["check", "fix", "prove"])
def test_an_empty_standard_input_is_no_success(command: str, text: str) -> None:
    done = command_line.run(command, "-", stdin=text)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "standard input: is empty; run `nginx -T` as root" in done.stderr


@pytest.mark.parametrize("command", ["check", "fix", "prove"])
def test_an_empty_name_is_not_the_current_folder(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nginx.conf").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    done = command_line.run(command, "")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "name a file, a folder, or -" in done.stderr


@pytest.mark.parametrize(
    "text",
    ["# nothing\n", "server { listen 80; root /srv; }", "events {}\nhttp {}\n", "}}}}", "ServerName x\n"],
)
@pytest.mark.parametrize("output_format", ["text", "json", "sarif", "github"])
def test_without_a_location_nothing_was_judged(text: str, output_format: str) -> None:
    done = check("-", *OLD, "--format", output_format, text=text)
    assert done.exit_code == 2
    assert "no location could be judged" in done.stderr
    assert output_format not in {"json", "sarif"} or json.loads(done.stdout)


def test_whoever_means_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "static.conf").write_text("server { root /srv; }")
    assert check("-", *OLD, "--allow-empty").exit_code == 0
    assert check(tmp_path, *OLD).exit_code == 2
    assert check(tmp_path, *OLD, "--allow-empty").exit_code == 0
    assert check("-", *OLD, "--allow-empty", text="server {").exit_code == 1  # nginx would refuse it
    (tmp_path / "empty").mkdir()
    assert check(tmp_path / "empty", *OLD).exit_code == 2
    assert check(tmp_path / "empty", *OLD, "--allow-empty").exit_code == 0
    (tmp_path / "map.json").write_text('{"kind": "ConfigMap"}')
    assert "is JSON without a configuration" in check(tmp_path / "map.json", *OLD).stderr
    assert check(tmp_path / "map.json", *OLD, "--allow-empty").exit_code == 0


def test_one_file_with_locations_is_enough(tmp_path: Path) -> None:
    (tmp_path / "static.conf").write_text("server { root /srv; }")
    (tmp_path / "app.conf").write_text(GOOD)
    assert check(tmp_path / "static.conf", tmp_path / "app.conf", *OLD).exit_code == 0


# Judged


@pytest.mark.parametrize(
    ("text", "args", "code"),
    [
        (GOOD, [], 0),
        (BAD, [], 1),
        (BAD, ["--fail-on", "error"], 1),
        ("server { location / { uwsgi_pass 10.0.0.1:9000; } }", [], 1),
        (DEPENDS, [], 0),
        (DEPENDS, ["--strict"], 1),
        (GOOD, ["--strict"], 0),
        (BAD.replace("upstream", "# bench: ignore NK001 known\nupstream"), [], 0),
        (BAD.replace("upstream", "# bench: ignore NK002 another\nupstream"), [], 1),
        (
            BAD.replace("upstream", "# bench: ignore NK001 known\nupstream").replace(KEPT, ""),
            [],
            1,
        ),
    ],
)
def test_exit_code_by_answer(text: str, args: list[str], code: int) -> None:
    done = check("-", *OLD, *args, text=text)
    assert done.exit_code == code, done.stdout
    assert ("answers depend on" in done.stderr) == (text == DEPENDS)


# Versions


@pytest.mark.parametrize(
    ("installed", "first_line"),
    [
        (None, "judged for nginx 1.22.1 (the oldest supported, Debian 12's) and {newest} (the newest known)"),
        ("1.26.3", "judged for nginx 1.26.3 (installed as /usr/sbin/nginx) and {newest} (the newest known)"),
        (
            "1.99.1",
            "judged for nginx 1.99.1 (installed as /usr/sbin/nginx, judged as {newest}, the newest known)"
            " and {newest} (the newest known)",
        ),
    ],
)
@pytest.mark.parametrize("output_format", ["text", "github"])
def test_the_first_line_names_the_versions(
    installed: str | None,
    first_line: str,
    output_format: str,
    install: Install,
) -> None:
    install(installed)
    done = check("-", "--format", output_format, text=GOOD)
    assert " ".join(done.stdout.split()).startswith(first_line.format(newest=versions.NEWEST))


@pytest.mark.parametrize(("installed", "code"), [(None, 1), ("1.22.1", 1), ("1.30.0", 0)])
def test_the_incident_fails_where_no_new_nginx_is_installed(
    installed: str | None,
    code: int,
    install: Install,
) -> None:
    install(installed)
    assert check(ARTICLE).exit_code == code


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("oldest", {"1.22.1": "the oldest supported, Debian 12's"}),
        ("newest", {"{newest}": "the newest known"}),
        ("installed", {"1.26.3": f"installed as {NGINX}"}),
        ("newest, 1.24", {"{newest}": "the newest known", "1.24": "given"}),
        ("installed,1.26.3", {"1.26.3": f"installed as {NGINX}, given"}),
        ("1.31", {"1.31": "given"}),
        ("2.0.1", {"2.0.1": "given, judged as {newest}, the newest known"}),
    ],
)
def test_versions_by_name(
    asked: str,
    expected: dict[str, str],
    install: Install,
) -> None:
    install("1.26.3")
    found = json.loads(check("-", "--nginx-version", asked, "--format", "json", text=GOOD).stdout)
    newest = str(versions.NEWEST)
    assert found["versions"] == {
        version.format(newest=newest): why.format(newest=newest) for version, why in expected.items()
    }
    assert list(found["locations"][0]["verdicts"]) == list(found["versions"])


def test_an_nginx_that_is_not_here_cannot_be_named(install: Install) -> None:
    install(None)
    done = check("-", "--nginx-version", "installed", text=GOOD)
    assert (done.exit_code, done.stdout) == (3, "")
    assert "--nginx-version installed: nginx is not here; write oldest or a version" in done.stderr


def print_version(path: Path, version: str) -> Path:
    """Write a program that says that it is nginx of a version, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'nginx version: nginx/{version}' >&2\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("has_system", "version"), [(True, "1.24.0"), (False, "1.26.3")])
def test_the_installed_nginx_is_the_systems_or_else_that_of_the_wheel_and_is_named(
    has_system: bool, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = programs.SOURCES["nginx"].inside
    wheel = print_version(tmp_path / "wheel" / inside, "1.26.3")
    system = print_version(tmp_path / "system" / "nginx", "1.24.0")
    monkeypatch.setattr(programs, "_SYSTEM_FOLDERS", ())
    monkeypatch.setattr(programs, "_package_folder", lambda package: tmp_path / "wheel")
    monkeypatch.setenv("PATH", str(system.parent if has_system else tmp_path))
    done = check("-", "--nginx-version", "installed", text=GOOD)
    said = " ".join(done.stdout.split())
    assert said.startswith(f"judged for nginx {version} (installed as {system if has_system else wheel})")
