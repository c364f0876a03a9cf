"""Parse and compare versions of nginx, and name those that changed how upstream connections behave.

The numbers come from nginx's CHANGES; each constant names the change it stands for. RELEASES is the one table
of the releases that are known, with where each was learnt of.
"""

import re
from dataclasses import dataclass

from nginx.errors import VersionError

# The fourth number of OpenResty is its own.
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4})(?:\.\d{1,4})?)?", re.ASCII)
# What `nginx -v` prints.
_OF_PROGRAM = re.compile(r"\b(?:nginx/(\d+\.\d+\.\d+)|openresty/(\d+\.\d+\.\d+)\.\d+)\b", re.ASCII)
_LAST_OF_BRANCH = 9999


@dataclass(frozen=True, order=True, slots=True)
class Version:
    """One nginx version; a branch without a patch number (`1.22`) stands for its last release."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        branch = f"{self.major}.{self.minor}"
        return branch if self.patch == _LAST_OF_BRANCH else f"{branch}.{self.patch}"

    @property
    def is_known(self) -> bool:
        """No newer than the newest known, whose behaviour is else taken for its own."""
        is_branch = self.patch == _LAST_OF_BRANCH
        return self <= NEWEST or (is_branch and (self.major, self.minor) == (NEWEST.major, NEWEST.minor))


def parse(text: str) -> Version:
    """Return the version that a text such as `1.22.1`, `1.31` or what `nginx -v` prints names.

    Raises:
        VersionError: the text is no version.
    """
    program = _OF_PROGRAM.search(text)
    match = _VERSION.fullmatch(text.strip() if program is None else program[1] or program[2])
    if match is None:
        raise VersionError(f"{text!r} is no nginx version; write it as 1.22.1 or 1.31")
    major, minor, patch = match.groups()
    return Version(int(major), int(minor), _LAST_OF_BRANCH if patch is None else int(patch))


POOL = Version(1, 1, 4)  # upstream keepalive, proxy_http_version, fastcgi_keep_conn
POOL_LIMITS = Version(1, 15, 3)  # keepalive_requests and keepalive_timeout in upstream {}
POOL_TIME = Version(1, 19, 10)  # keepalive_time in upstream {}; keepalive_requests 100 -> 1000
NO_RETRY_OF_POST = Version(1, 9, 13)  # POST, LOCK and PATCH are not sent twice
RESOLVE = Version(1, 27, 3)  # server ... resolve and resolver in upstream {}
HTTP2_UPSTREAM = Version(1, 29, 4)  # proxy_http_version 2
HTTP2_BODIES = Version(1, 30, 1)  # HTTP/2 with a cache and proxy_set_body is right
HTTP2_DIRECTIVE = Version(1, 25, 1)  # http2 on, instead of a parameter of listen
POOL_BY_DEFAULT = Version(1, 29, 7)  # keepalive 32 local, HTTP/1.1 and no Connection field by default
LOCATION_VARIABLES = Version(1, 31, 5)  # location $variable (nginx/nginx#1633)


@dataclass(frozen=True, slots=True)
class Release:
    """A release of nginx, and where it was learnt of."""

    version: Version
    date: str
    """When it was announced; of a package, when the distribution was released."""
    source: str


RELEASES = (
    Release(Version(1, 22, 1), "2023-06-10", "Debian 12's package; runs in the tests"),
    Release(Version(1, 24, 0), "2024-04-25", "Ubuntu 24.04's package"),
    Release(Version(1, 26, 3), "2025-08-09", "Debian 13's package"),
    Release(Version(1, 29, 7), "2026-03-24", "CHANGES, tag release-1.29.7; its source was read"),
    Release(Version(1, 30, 5), "2026-09-15", "nginx/docker-nginx#1062; stable"),
    Release(Version(1, 31, 3), "2026-07-15", "CHANGES; the wheel, runs in the tests"),
    Release(Version(1, 31, 4), "2026-08-19", "CHANGES, tag release-1.31.4; its source was read"),
    Release(Version(1, 31, 5), "2026-09-02", "nginx/docker-nginx#1061; nginx/nginx#1633 is in it"),
    Release(Version(1, 31, 6), "2026-09-15", "nginx/docker-nginx#1062"),
    Release(Version(1, 31, 8), "2026-10-26", "changelog of OpenResty 1.31.8.1, which is built on it"),
    Release(Version(1, 31, 9), "2026-11-23", "changelog of OpenResty 1.31.9.1, which is built on it"),
)
"""What is known of, the oldest first; releases between them behave as the one before."""
OLDEST_SUPPORTED = RELEASES[0].version
NEWEST = RELEASES[-1].version
"""A newer release is judged as this one; after 1.31.4 no change to upstream connections was announced."""
