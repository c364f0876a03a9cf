"""Parse and compare versions of nginx, and name those that changed how upstream connections behave.

The numbers come from nginx's CHANGES; each constant names the change it stands for.
"""

import re
from dataclasses import dataclass

from nginx.errors import VersionError

_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?")
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
    """Return the version that a text such as `1.22.1`, `1.31` or `nginx/1.26.3` names.

    Raises:
        VersionError: the text is no version.
    """
    match = _VERSION.fullmatch(text.strip().removeprefix("nginx/"))
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

OLDEST_SUPPORTED = Version(1, 22, 1)  # Debian 12's; judged where no nginx is installed
NEWEST = Version(1, 31, 4)  # the newest release whose source was read for the rules
