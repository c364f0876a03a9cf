"""Learn from nginx's program which version it is and where it looks for its files, without running it.

What `nginx -V` prints are texts in the program, so that reading it is enough. To run it would run what a
container brings with it, as root and on this host.
"""

import mmap
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_LARGEST_BYTES = 512 << 20
# ngx_show_version_info() in src/core/nginx.c, whose texts the compiler joins; relatives of nginx keep them.
_VERSION = re.compile(rb"nginx version: (\w{1,20}/[\w.+-]{1,40})")
_ARGUMENTS = re.compile(rb"configure arguments:([^\0]{0,65536})")
_ARGUMENT = re.compile(r"--(prefix|conf-path)=('[^']*'|\S+)")
_DEFAULT_PREFIX = "/usr/local/nginx"
"""Of ./configure (auto/options)."""
_DEFAULT_CONF = "conf/nginx.conf"


@dataclass(frozen=True, slots=True)
class NginxBuild:
    """What a program was built with."""

    version: str
    """As `nginx -v` shows it: `nginx/1.22.1`."""
    prefix: str
    conf: str
    """The file that it reads without -c: absolute, or below the prefix."""


def read_build(program: Path) -> NginxBuild | None:
    """Return what a program says about itself; None where it is not nginx.

    OSError where it may not be read.
    """
    descriptor = os.open(program, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        size = os.fstat(descriptor).st_size
        if not 0 < size <= _LARGEST_BYTES:
            return None
        with mmap.mmap(descriptor, size, prot=mmap.PROT_READ) as content:
            return parse_build(content)
    finally:
        os.close(descriptor)


def parse_build(content: bytes | mmap.mmap) -> NginxBuild | None:
    """Return what the texts of a program say; None where they are not nginx's."""
    version, arguments = _VERSION.search(content), _ARGUMENTS.search(content)
    if version is None or arguments is None:
        return None
    named = dict(_given(arguments[1].decode("utf-8", "replace")))
    prefix = named.get("prefix", _DEFAULT_PREFIX)
    return NginxBuild(version[1].decode(), prefix, named.get("conf-path", _DEFAULT_CONF))


def _given(arguments: str) -> Iterator[tuple[str, str]]:
    for match in _ARGUMENT.finditer(arguments):
        yield match[1], match[2].strip("'")


def conf_path(conf: str | None, prefix: str | None, cwd: str | None) -> str | None:
    """Return the whole path of the file that nginx reads; None where what is given does not say it.

    A file is relative to the prefix, and a prefix to the folder in which nginx was started
    (ngx_process_options() in src/core/nginx.c).
    """
    if conf is None or (prefix is None and not conf.startswith("/")):
        return None
    path = PurePosixPath(cwd or "", prefix or "", conf)
    return str(path) if path.is_absolute() else None
