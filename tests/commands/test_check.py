"""`bench check` and `bench fix` as people call them: what goes to stdout, to stderr, and the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nginx import versions
from tests import command_line, needs
from tests.command_line import Done

GOOD = """\
upstream app { server 10.0.0.1:8080; keepalive 32; }
server {
    location / {
        proxy_pass http://app;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
}
"""
BAD = GOOD.replace("proxy_http_version 1.1;", "")
VERSIONS = ["--nginx-version", "1.22.1,1.31.4"]


def check(*args: str, text: str = "") -> Done:
    return command_line.run("check", *args, stdin=text)


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.conf"
    path.write_text(BAD)
    return path


@pytest.mark.parametrize(
    ("text", "args", "code"),
    [
        (GOOD, [], 0),
        (BAD, [], 1),
        (BAD, ["--nginx-version", "1.31.4"], 0),
        (BAD, ["--fail-on", "error"], 1),
        (GOOD, ["--fail-on", "info"], 0),
        (GOOD, ["--backend-idle", "5", "--fail-on", "medium"], 1),
        (GOOD, ["--backend-idle", "Node", "--fail-on", "medium"], 1),
        (GOOD, ["--backend-idle", "nginx", "--fail-on", "medium"], 0),
        (GOOD, ["--workers", "8", "--backend-max-connections", "10", "--fail-on", "medium"], 1),
        (GOOD, ["--workers", "1", "--concurrency", "400", "--fail-on", "medium"], 1),
    ],
)
def test_exit_code(text: str, args: list[str], code: int) -> None:
    result = check("-", *VERSIONS, *args, text=text)
    assert result.exit_code == code
    assert "standard input:4" in result.stdout
    assert not result.stderr


def test_json_is_one_object(bad: Path) -> None:
    result = check(str(bad), *VERSIONS, "--format", "json")
    answer = json.loads(result.stdout)
    assert result.exit_code == 1
    assert set(answer) == {"versions", "locations", "findings", "accepted", "assumptions"}
    assert list(answer["locations"][0]["verdicts"]) == ["1.22.1", "1.31.4"]


@pytest.mark.parametrize("output_format", ["sarif", "github"])
def test_other_formats(output_format: str, bad: Path) -> None:
    assert "NK002" in check(str(bad), *VERSIONS, "--format", output_format).stdout


def test_several_files_are_one_answer(bad: Path, tmp_path: Path) -> None:
    (tmp_path / "good.conf").write_text(GOOD)
    result = check(str(bad), str(tmp_path / "good.conf"), *VERSIONS, "--format", "json")
    assert len(json.loads(result.stdout)["locations"]) == 2


def test_without_versions_the_newest_known_is_among_them(bad: Path) -> None:
    verdicts = json.loads(check(str(bad), "--format", "json").stdout)["locations"][0]["verdicts"]
    assert str(versions.NEWEST) in verdicts


@pytest.mark.parametrize("asked", ["NK005", "nk005", "NK003b", "nx001"])
def test_explain(asked: str) -> None:
    result = check("--explain", asked)
    assert result.exit_code == 0
    assert "Flagged on nginx" in result.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "name a configuration"),
        (["none.conf"], "none.conf: cannot be read: No such file or directory"),
        (["-", "--nginx-version", "latest"], "'latest' is no nginx version"),
        (["--explain", "NK999"], "there is no rule NK999"),
        (["-", "--root", "/no/such"], "does not exist"),
    ],
)
def test_misuse_is_one_line(args: list[str], said: str) -> None:
    result = check(*args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not result.stdout


def test_a_binary_on_standard_input_is_refused() -> None:
    result = command_line.run("check", "-", stdin=b"\x7fELF\0")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_fix_prints_a_diff_and_leaves_the_file(bad: Path) -> None:
    result = command_line.run("fix", str(bad), *VERSIONS)
    assert result.exit_code == 0
    assert "+        proxy_http_version 1.1;" in result.stdout
    assert "1 location repaired, shown for" in result.stderr
    assert bad.read_text() == BAD


def test_fix_writes(bad: Path) -> None:
    result = command_line.run("fix", str(bad), *VERSIONS, "--write")
    assert (result.exit_code, result.stdout) == (0, "")
    assert check(str(bad), *VERSIONS).exit_code == 0
    assert [path.name for path in bad.parent.iterdir()] == ["bad.conf"]


def test_fix_says_what_it_leaves(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_text("server { location / { uwsgi_pass 10.0.0.1:9000; } }")
    result = command_line.run("fix", str(path), *VERSIONS)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "uwsgi connections are never reused" in result.stderr


def test_fix_takes_several_files(bad: Path, tmp_path: Path) -> None:
    (tmp_path / "other.conf").write_text(BAD)
    result = command_line.run("fix", str(bad), str(tmp_path / "other.conf"), *VERSIONS, "--write")
    assert result.exit_code == 0
    assert "2 locations repaired" in result.stderr
    assert check(str(tmp_path), *VERSIONS).exit_code == 0


def test_fix_writes_standard_input_to_standard_output() -> None:
    result = command_line.run("fix", "-", *VERSIONS, "--write", stdin=BAD)
    assert result.exit_code == 0
    assert check("-", *VERSIONS, text=result.stdout).exit_code == 0


def test_fix_does_not_write_a_dump() -> None:
    dump = f"# configuration file /etc/nginx/nginx.conf:\nevents {{}}\nhttp {{\n{BAD}}}\n"
    shown = command_line.run("fix", "-", *VERSIONS, stdin=dump)
    assert "+++ b/etc/nginx/nginx.conf" in shown.stdout
    refused = command_line.run("fix", "-", *VERSIONS, "--write", stdin=dump)
    assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)


@needs.program("bash")
def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """As `bench check <(nginx -T)` has it."""
    (tmp_path / "a.conf").write_text("server { location / { proxy_pass http://a; } }")
    command = f"{sys.executable} -m bench check --format json <(cat {tmp_path}/a.conf)"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert len(json.loads(done.stdout)["locations"]) == 1


def test_it_imports_nothing_heavy(bad: Path) -> None:
    typed = f"""
import sys
from bench import cli
sys.argv = ["bench", "check", {str(bad)!r}, "--nginx-version", "1.22.1"]
try:
    cli.main()
finally:
    print([name for name in ("matplotlib", "numpy", "scipy", "aiohttp", "uvloop") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", typed], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1], done.stderr) == (1, "[]", "")
