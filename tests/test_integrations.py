"""What pre-commit and GitHub are told to run: the commands of both files, run as they stand there.

That their set-up works (an environment of its own, the installation) takes a network and is not tested here.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import needs

ROOT = Path(__file__).parent.parent
HOOKS, ACTION = ROOT / ".pre-commit-hooks.yaml", ROOT / "action.yml"
POOL = "upstream app { server 10.0.0.1:8080; keepalive 8; }\n"
GOOD = (
    'server { location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; } }'
)
BAD = GOOD.replace('Connection ""', "Connection close")
IN_FOLDER = "events {}\nhttp {\n    include /etc/nginx/conf.d/*.conf;\n}\n"


def site(folder: Path, text: str) -> Path:
    """Makes a configuration of three files, each of them of use only with the others."""
    (folder / "nginx/conf.d").mkdir(parents=True)
    (folder / "nginx/nginx.conf").write_text(IN_FOLDER)
    (folder / "nginx/conf.d/pools.conf").write_text(POOL)
    (folder / "nginx/conf.d/site.conf").write_text(text)
    return folder


def value(text: str, key: str) -> str:
    """Returns the one plain value that a YAML text gives a key."""
    (found,) = re.findall(rf"^\s*(?:- )?{key}: (.+)$", text, re.MULTILINE)
    return str(found)


def ran(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command line as a shell of such a runner does, with this environment's `bench`."""
    needs.need("bash")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("text", "code"), [(GOOD, 0), (BAD, 1)])
def test_the_hook_reads_the_folder_as_a_whole(text: str, code: int, tmp_path: Path) -> None:
    hook = HOOKS.read_text()
    arguments = shlex.split(value(hook, "args").strip("[]").replace(",", " "))
    assert value(hook, "pass_filenames") == "false"
    done = ran(shlex.join([*value(hook, "entry").split(), *arguments]), site(tmp_path, text))
    assert done.returncode == code, done.stdout + done.stderr
    assert "nginx/conf.d/site.conf" in done.stdout


@pytest.mark.parametrize(
    ("path", "is_wanted"),
    [
        ("nginx.conf", True),
        ("deploy/nginx/nginx-prod.conf", True),
        ("conf.d/site.conf", True),
        ("etc/sites-available/default", True),
        ("setup.cfg", False),
        ("httpd.conf", False),
    ],
)
def test_the_hook_runs_for_configurations_of_nginx(path: str, is_wanted: bool) -> None:
    pattern = value(HOOKS.read_text(), "files").strip("'")
    assert (re.search(pattern, path) is not None) == is_wanted


def inputs() -> dict[str, str]:
    """Returns the defaults of the action's inputs."""
    block = ACTION.read_text().partition("inputs:\n")[2].partition("runs:\n")[0]
    found = re.findall(r"^  ([\w-]+):\n(?:    .*\n)*?    default: (.+)$", block, re.MULTILINE)
    return {name: default.strip("'") for name, default in found}


def environment(given: dict[str, str]) -> dict[str, str]:
    """Returns what the action hands to its steps."""
    variables = re.findall(r"^\s+(\w+): \$\{\{ inputs\.([\w-]+) \}\}$", ACTION.read_text(), re.MULTILINE)
    assert {name for _, name in variables} == set(inputs())
    return {variable: (inputs() | given)[name] for variable, name in variables}


def script() -> str:
    """Returns the commands of the action, behind its installation."""
    install, check = re.findall(
        r"^      run: (?:\|\n)?((?:.+\n)(?:        .+\n)*)", ACTION.read_text(), re.MULTILINE
    )
    assert install == 'python -m pip install --quiet "$GITHUB_ACTION_PATH"\n'
    return textwrap.dedent(check)


@dataclass(frozen=True)
class Job:
    """How the action ended, what it annotated, and the summary of its job."""

    code: int
    errors: list[str]
    summary: str


def acted(folder: Path, given: dict[str, str]) -> Job:
    """Runs the action in a repository."""
    summary = folder.parent / "summary.md"
    done = ran(script(), folder, **environment(given), GITHUB_STEP_SUMMARY=str(summary))
    errors = [line for line in done.stdout.splitlines() if line.startswith("::error ")]
    return Job(done.returncode, errors, summary.read_text())


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / ".git").mkdir(parents=True)
    return folder


@pytest.mark.parametrize(("text", "code"), [(GOOD, 0), (BAD, 1)])
def test_the_action_annotates_lines_and_writes_the_summary(text: str, code: int, repository: Path) -> None:
    job = acted(site(repository, text), {"path": "nginx"})
    assert job.code == code
    assert [("file=nginx/conf.d/site.conf,line=1," in line) for line in job.errors] == [True] * code
    assert job.summary.startswith("### Upstream connections of 1 location: 1 ")


ONE_SLOT = POOL.replace("8;", "1;") + GOOD
"""NK022: one slot for one server."""


@pytest.mark.parametrize(
    ("settings", "given", "code"),
    [
        ("", {}, 0),
        ("", {"fail-on": "low"}, 1),
        ('fail-on = "low"', {}, 1),
        ('fail-on = "low"', {"fail-on": "high"}, 0),
        ('fail-on = "low"\nbaseline = "accepted.json"', {}, 0),
        ('fail-on = "low"', {"baseline": "accepted.json"}, 0),
    ],
)
def test_an_input_of_the_action_comes_before_the_settings_of_the_project(
    settings: str, given: dict[str, str], code: int, repository: Path
) -> None:
    (repository / "nginx.conf").write_text(ONE_SLOT)
    ran("bench check nginx.conf --nginx-version 1.22.1 --write-baseline accepted.json", repository)
    (repository / ".bench-check.toml").write_text(settings)
    assert acted(repository, {"nginx-version": "1.22.1"} | given).code == code
