"""Kernel settings of a host: read and written from within its network namespace, errors explained."""

import re
from pathlib import Path

from bench.errors import LabError, PlanError

PORT_RANGE = "net.ipv4.ip_local_port_range"
TIME_WAIT_REUSE = "net.ipv4.tcp_tw_reuse"
_EVERYWHERE, _ON_LOOPBACK = "1", "2"
_ROOT = Path("/proc/sys")
_KEY = re.compile(r"net(\.[A-Za-z0-9_-]+)+")
_DEFAULT_LOW, _DEFAULT_WIDTH = 32768, 28232


def check_key(key: str) -> None:
    """Raise PlanError unless `key` is one that belongs to a network namespace."""
    if not _KEY.fullmatch(key):
        raise PlanError(
            f"--sysctl {key}: not a setting of a host; only net.* belongs to a network namespace,"
            " the rest to the whole machine: set it with `sysctl -w` there"
        )


def path(key: str) -> Path:
    """Return the file behind `key` (proc(5)), as the calling thread's network namespace shows it."""
    return _ROOT.joinpath(*key.split("."))


def read(key: str) -> str:
    """Return the value of `key`; OSError where there is none."""
    return path(key).read_text(encoding="ascii").strip()


def write(key: str, value: str, host: str) -> None:
    """Set `key` in the calling thread's network namespace; LabError names key, value and remedy."""
    try:
        path(key).write_text(value, encoding="ascii")
    except FileNotFoundError as error:
        reason = (
            "a network namespace of this kernel has no such setting; leave it out, or set it machine-wide"
        )
        raise LabError(f"lab: {host}: {key}={value}: {reason} with `sysctl -w`") from error
    except PermissionError as error:
        reason = "read-only without root; run with sudo, or set it machine-wide"
        raise LabError(f"lab: {host}: {key}={value}: {reason} with `sudo sysctl -w {key}={value}`") from error
    except OSError as error:
        raise LabError(f"lab: {host}: {key}={value}: the kernel refuses it: {error.strerror}") from error
    except UnicodeEncodeError as error:
        raise LabError(
            f"lab: {host}: {key}={value!a}: no setting has such a value; write it in ASCII"
        ) from error


def port_range(text: str) -> tuple[int, int]:
    """Return the lowest and highest port that ip_local_port_range's `text` names."""
    low, high = text.split()
    return int(low), int(high)


def reuses_ports(text: str, are_loopback: bool) -> bool:
    """Return whether tcp_tw_reuse's `text` lets connect() take ports in TIME_WAIT between these addresses."""
    return text == _EVERYWHERE or (text == _ON_LOOPBACK and are_loopback)


def narrowed(ports: int) -> tuple[int, int]:
    """Return a port range of `ports` ports: from the kernel's own start, or up to the last port of all.

    The low end is even: connect() tries the ports of the low end's parity first (inet_hashtables.c,
    __inet_hash_connect), so that half of the range passes smoothly and the other half does not.
    """
    if ports <= _DEFAULT_WIDTH:
        return _DEFAULT_LOW, _DEFAULT_LOW + ports - 1
    return 65536 - ports, 65535
