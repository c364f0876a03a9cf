"""What pre-commit and GitHub are told to run: the commands of both files, run as they stand there.

That their set-up works (an environment of its own, the installation) takes a network and is not tested here.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
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
    return dict(re.findall(r"^  ([\w-]+):\n(?:    .*\n)*?    default: (.+)$", block, re.MULTILINE))


def environment(given: dict[str, str]) -> dict[str, str]:
    """Returns what the action hands to its steps."""
    variables = re.findall(r"^\s+(\w+): \$\{\{ inputs\.([\w-]+) \}\}$", ACTION.read_text(), re.MULTILINE)
    assert {name for _, name in variables} == set(inputs())
    return {variable: (inputs() | given)[name] for variable, name in variables}


@pytest.mark.parametrize(("text", "code"), [(GOOD, 0), (BAD, 1)])
def test_the_action_annotates_lines(text: str, code: int, tmp_path: Path) -> None:
    install, check, _ = re.findall(r"^\s+run: (.+)$", ACTION.read_text(), re.MULTILINE)
    assert install == 'python -m pip install --quiet "$GITHUB_ACTION_PATH"'
    done = ran(check, site(tmp_path, text), **environment({"path": "nginx"}))
    assert done.returncode == code, done.stdout + done.stderr
    errors = [line for line in done.stdout.splitlines() if line.startswith("::error ")]
    assert [("file=nginx/conf.d/site.conf,line=1," in line) for line in errors] == [True] * code


@pytest.mark.parametrize("text", [GOOD, BAD])
def test_the_action_writes_the_summary_of_its_job(text: str, tmp_path: Path) -> None:
    _, summarize = re.findall(r"^\s+run: (bench .+)$", ACTION.read_text(), re.MULTILINE)
    summary = tmp_path / "summary.md"
    done = ran(
        summarize,
        site(tmp_path, text),
        **environment({"path": "nginx"}),
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert summary.read_text().startswith("### Upstream connections of 1 location: 1 ")


def test_what_the_action_fails_on_is_one_input(tmp_path: Path) -> None:
    check, _ = re.findall(r"^\s+run: (bench .+)$", ACTION.read_text(), re.MULTILINE)
    given = environment({"nginx-version": "1.22.1", "fail-on": "low"})
    text = POOL.replace("8;", "1;") + GOOD
    (tmp_path / "nginx.conf").write_text(text)
    assert ran(check, tmp_path, **given).returncode == 1  # NK022: one slot for one server
    assert ran(check, tmp_path, **environment({"nginx-version": "1.22.1"})).returncode == 0
