"""The process of a container. Its runtime is asked for the number of that, and for nothing else.

Where no runtime answers, a container's id is looked for among the control groups of the processes: docker,
podman, containerd and CRI-O name the group after it (cgroups(7); runtime-spec, config-linux.md, cgroupsPath).
crun puts the processes into `container` below it (crun(1), run.oci.systemd.subgroup), and podman its monitor,
which is none of them, into a group that is named libpod-conmon-ID.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from bench.errors import LabError, PlanError
from bench.watch.processes import Family

RUNTIMES: dict[str, tuple[str, ...]] = {
    "docker": ("inspect", "--type", "container", "--format", "{{.State.Pid}}"),
    "podman": ("inspect", "--type", "container", "--format", "{{.State.Pid}}"),
    "crictl": ("inspect", "--output", "go-template", "--template", "{{.info.pid}}"),
}
"""By program: how it is asked; the container's name or id follows."""
_TIMEOUT_S = 2.0
_ID = re.compile(r"[0-9a-f]{12,64}")
"""An id, or the beginning of one as runtimes print it."""


def family_of_container(name: str) -> Family:
    """Return the first process of a container and all below it.

    PlanError where there is no such container, or where it does not run; LabError where nobody can say it.
    """
    what = f"container {name}"
    if name.startswith("-"):
        raise PlanError(f"--container {name}: no container has such a name; `docker ps` lists them")
    answers = [_ask(program, name) for program in RUNTIMES if shutil.which(program)]
    pids = [answer for answer in answers if isinstance(answer, int) and answer > 0]
    if pids:
        return Family(what, pids[:1])
    if _ID.fullmatch(name) and (pid := _by_control_group(name)) is not None:
        return Family(what, [pid])
    if not answers:
        runtimes = ", ".join(RUNTIMES)
        raise LabError(
            f"--container {name}: none of {runtimes} is here to say its process;"
            " name that instead: --pid NUMBER"
        )
    if 0 in answers:
        raise PlanError(f"--container {name}: it does not run; start it first")
    reasons = "; ".join(str(answer) for answer in answers)
    raise PlanError(f"--container {name}: {reasons}; give the name or id of a container that runs, or --pid")


def _ask(program: str, name: str) -> int | str:
    """Return the process of a container, 0 where it does not run; or why a runtime does not say it."""
    argv: Sequence[str] = (program, *RUNTIMES[program], name)
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = "no answer" if isinstance(error, subprocess.TimeoutExpired) else error.strerror
        return f"{program}: {reason}"
    if done.returncode == 0 and done.stdout.strip().isdigit():
        return int(done.stdout)
    lines = (done.stderr or done.stdout).strip().splitlines()
    return f"{program}: {lines[-1] if lines else f'exit code {done.returncode}'}"


def in_group(start_of_id: str) -> re.Pattern[str]:
    """Return what is found in /proc/PID/cgroup of a container's processes."""
    return re.compile(rf"(?<!conmon)[/:-]{start_of_id}[0-9a-f]*(\.scope)?(/container)?$", re.MULTILINE)


def _by_control_group(start_of_id: str) -> int | None:
    """Return the oldest process in a control group that is named after the container."""
    named = in_group(start_of_id)
    for pid in sorted(psutil.pids()):
        try:
            groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if named.search(groups):
            return pid
    return None
