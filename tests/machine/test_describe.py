"""The description of a machine: enough to tell two apart, nothing that names one."""

from __future__ import annotations

import getpass
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import __version__
from bench.machine import describe
from tests import needs


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """Return this machine."""
    return describe.describe()


def test_it_says_what_decides_a_result(described: dict[str, Any]) -> None:
    assert described["kernel"] == platform.release()
    assert described["cores"] >= 1
    assert described["memory_mib"] > 16
    assert described["versions"]["bench"] == __version__
    assert described["versions"]["python"] == platform.python_version()
    assert described["limits"]["open_files_soft"] > 0
    assert len(described["load_average"]) == 3


@needs.on_linux
def test_it_reads_the_sysctls_that_decide_how_far_ports_go(described: dict[str, Any]) -> None:
    low, high = map(int, described["sysctls"]["net.ipv4.ip_local_port_range"].split())
    assert 0 < low < high < 65_536
    assert described["sysctls"]["net.ipv4.tcp_tw_reuse"] in {"0", "1", "2"}
    assert set(described["sysctls"]) == set(describe.SYSCTLS)


def test_it_names_neither_the_machine_nor_its_user_nor_a_path(described: dict[str, Any]) -> None:
    text = json.dumps(described)
    home = str(Path.home())
    assert not platform.node() or f'"{platform.node()}"' not in text
    assert f'"{getpass.getuser()}"' not in text
    assert home == "/" or home not in text
    assert str(Path(describe.__file__).parents[2]) not in text


def test_the_commit_is_that_of_the_checkout(described: dict[str, Any]) -> None:
    root = Path(describe.__file__).resolve().parents[2]
    if not (root / ".git").exists():
        assert described["git"] == {"commit": None, "dirty": None}
        return
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    head = subprocess.run(command, capture_output=True, text=True, check=False)
    assert described["git"]["commit"] == (head.stdout.strip() or None)


def test_what_a_system_does_not_tell_is_none() -> None:
    assert describe._sysctl("net.ipv4.no_such_thing") is None
    assert describe.package_version("no-such-package-anywhere") is None
    assert describe._output(["no-such-program-anywhere"]) is None


RAISES = """
import resource
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
from bench.doctor import facts
from bench.experiment import fd_limits
from bench.machine import describe
assert fd_limits.raise_to(300) == 300
print(describe.describe()["limits"]["open_files_soft"], facts._file_limits()[0])
"""


def test_a_limit_that_a_run_raises_makes_no_other_machine_of_it() -> None:
    argv = [sys.executable, "-c", RAISES]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["256", "256"]
