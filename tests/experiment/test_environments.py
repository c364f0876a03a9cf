"""Environments of their own: where they are, when they are ready, and what a role in one gets to see."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import lab
from bench.errors import PlanError, RoleError
from bench.experiment import environments
from bench.experiment.environments import NACOS, Environment
from tests import bench_process


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_another_list_of_packages_lives_in_another_place(cache: Path) -> None:
    one, other = Environment("e", ("a==1",)), Environment("e", ("a==2",))
    assert one.directory != other.directory
    assert one.directory.parent == cache / "keepalive-bench"
    assert Environment("e", ("a==1",)).directory == one.directory


@pytest.mark.long
def test_what_cannot_be_installed_fails_in_one_line_and_is_not_ready() -> None:
    missing = Environment("e", ("no such name",))
    lines = list[str]()
    with pytest.raises(RoleError, match="pip: cannot install e; stderr: ERROR"):
        missing.install(lines.append)
    assert lines == [f"installing no such name into {missing.directory}"]
    assert not missing.is_met


def test_what_is_ready_is_not_installed_again() -> None:
    ready = Environment("e", ("a==1",))
    ready.directory.mkdir(parents=True)
    (ready.directory / "ready").touch()
    assert ready.is_met
    assert ready.install(lambda line: None) == ready.directory


def test_a_role_sees_our_packages_and_a_home_that_goes_with_the_lab() -> None:
    program = "import os, bench, backends; print(os.environ['HOME']); import click"
    with lab.open_lab("loopback") as place:
        variables = NACOS.inhabit(place.hosts["client"])
        argv = [sys.executable, "-S", "-c", program]
        done = subprocess.run(argv, env=variables, capture_output=True, text=True, check=False)
        home = Path(done.stdout.strip())
        assert home.is_dir()
        assert "No module named 'click'" in done.stderr
    assert not home.exists()


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(PlanError, match="'x' is not one of nacos, rocketmq, dubbo"):
        environments.find("x")


def test_a_variant_whose_environment_is_missing_is_refused_with_the_command(tmp_path: Path) -> None:
    flags = ("--variant", "sdk-1", "--subject", "direct", "-o", tmp_path)
    done = bench_process.run("scenario", "run", "registry", *flags)
    assert done.returncode == 3
    assert "needs nacos-sdk-python==2.0.11: bench scenario install nacos" in done.stderr
