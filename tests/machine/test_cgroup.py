"""The control groups of machines that we have only on paper, of both versions, and of this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.machine import cgroup


def groups(root: Path, own: str, **files: str) -> dict[str, str]:
    """Write `files` (in names, `__` stands between folders and DOT for a dot) and return what bounds us."""
    (root / "own").write_text(own)
    for name, text in files.items():
        path = root / "tree" / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return cgroup.limits(root / "own", root / "tree")


def test_the_tightest_group_above_us_counts(tmp_path: Path) -> None:
    found = groups(
        tmp_path,
        "0::/user.slice/job\n",
        userDOTslice__job__cpuDOTmax="max 100000",
        userDOTslice__cpuDOTmax="150000 100000",
        userDOTslice__job__memoryDOTmax="536870912",
        userDOTslice__memoryDOTmax="max",
    )
    assert found == {"cpu.max": "150000 100000", "memory.max": "536870912"}


def test_a_container_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    assert groups(tmp_path, "0::/\n", cpuDOTmax="50000 100000") == {"cpu.max": "50000 100000"}


def test_version_1_has_a_tree_for_each_controller(tmp_path: Path) -> None:
    found = groups(
        tmp_path,
        "4:memory:/job\n2:cpuacct,cpu:/\n1:name=systemd:/\n",
        memory__job__memoryDOTlimit_in_bytes="1073741824",
        memory__memoryDOTlimit_in_bytes="9223372036854771712",
        cpu__cpuDOTcfs_quota_us="200000",
        cpu__cpuDOTcfs_period_us="50000",
    )
    assert found == {"cpu.max": "200000 50000", "memory.max": "1073741824"}


def test_version_1_without_limits(tmp_path: Path) -> None:
    found = groups(
        tmp_path,
        "4:memory:/\n2:cpu:/\n",
        memory__memoryDOTlimit_in_bytes="9223372036854771712",
        cpu__cpuDOTcfs_quota_us="-1",
    )
    assert found == {"cpu.max": "max", "memory.max": "max"}


def test_a_system_without_control_groups(tmp_path: Path) -> None:
    assert cgroup.limits(tmp_path / "none", tmp_path) == {}


@pytest.mark.parametrize(
    ("limits", "tightest"),
    [
        (["max 100000"], "max 100000"),
        (["max 100000", "150000 100000", "90000 50000"], "150000 100000"),
        (["max", "1073741824", "536870912", "max"], "536870912"),
    ],
)
def test_the_limit_that_bounds_most(limits: list[str], tightest: str) -> None:
    assert cgroup.tightest(limits) == tightest


def test_what_bounds_us_here_can_be_read() -> None:
    assert set(cgroup.limits()) <= {"cpu.max", "memory.max"}
