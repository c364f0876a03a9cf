"""What is said of the machine: enough to tell two apart, nothing that names one."""

import getpass
import json
import platform
import subprocess
from pathlib import Path

import pytest

import needs
from bench import __version__
from bench.machine import describe


@pytest.fixture(scope="module")
def described():
    return describe.describe()


def test_it_says_what_decides_a_result(described):
    assert described["kernel"] == platform.release()
    assert described["cores"] >= 1
    assert described["memory_mib"] > 16
    assert described["versions"]["bench"] == __version__
    assert described["versions"]["python"] == platform.python_version()
    assert described["limits"]["open_files_soft"] > 0
    assert len(described["load_average"]) == 3


@needs.on_linux
def test_it_reads_the_sysctls_that_decide_how_far_ports_go(described):
    low, high = map(int, described["sysctls"]["net.ipv4.ip_local_port_range"].split())
    assert 0 < low < high < 65_536
    assert described["sysctls"]["net.ipv4.tcp_tw_reuse"] in {"0", "1", "2"}
    assert set(described["sysctls"]) == set(describe.SYSCTLS)


def test_it_names_neither_the_machine_nor_its_user_nor_a_path(described):
    said = json.dumps(described)
    home = str(Path.home())
    assert not platform.node() or f'"{platform.node()}"' not in said
    assert f'"{getpass.getuser()}"' not in said
    assert home == "/" or home not in said
    assert str(Path(describe.__file__).parent) not in said


def test_the_commit_is_that_of_the_checkout(described):
    root = Path(describe.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        assert described["git"] == {"commit": None, "dirty": None}
        return
    asked = ["git", "-C", str(root), "rev-parse", "HEAD"]
    head = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert described["git"]["commit"] == (head.stdout.strip() or None)


def test_what_a_system_does_not_tell_is_none():
    assert describe._sysctl("net.ipv4.no_such_thing") is None
    assert describe._package("no-such-package-anywhere") is None
    assert describe._output(["no-such-program-anywhere"]) is None
