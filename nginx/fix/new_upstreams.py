"""Names an upstream {} for a target that is none, so that its connections can be pooled.

That would change what follows the target: Host, the default proxy_redirect, the TLS name. Those are said
outright; where something else would follow, the location is refused. A name that nginx resolves for each
request goes on being resolved: by `server ... resolve`, which needs 1.27.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nginx import versions
from nginx.fix.draft import Draft, RefusedError
from nginx.inheritance import Level
from nginx.model import Model, PassLocation
from nginx.rules import Case
from nginx.rules.proxy_pass import has_variables_in_host
from nginx.targets import Group, Target
from nginx.values import has_variables, pieces

_SMALLEST_POOL = 32
_IDENTITY = ("proxy_ssl_name", "proxy_ssl_server_name", "proxy_ssl_certificate", "proxy_ssl_verify")
_IS_ADDRESS = re.compile(r"\[.*\]|\d+(?:\.\d+){3}|localhost")


def pool_size(case: Case, servers: int) -> int:
    """Returns a pool's size by the sizing rules: twice the servers, and what is in flight per worker."""
    per_worker = -(-(case.settings.concurrency or 0) // (case.workers or 1))
    return max(_SMALLEST_POOL, 2 * servers, per_worker)


def pool_lines(case: Case, servers: int) -> list[str]:
    """Returns the lines of a pool; the second lets nginx close an idle connection before its server does."""
    idle_s = case.settings.backend_idle_s
    limit = [] if idle_s is None or idle_s > 60 else [f"keepalive_timeout {max(1, int(idle_s) - 1)}s;"]
    return [f"keepalive {pool_size(case, servers)};", *limit]


def location_of(each: PassLocation) -> Level:
    """Returns the level whose lines a pass directive goes by: the location {} around it."""
    return each.level.enclosing("location") or each.level


class Naming:
    """Names upstreams, each address and TLS identity once."""

    def __init__(self, draft: Draft, found: Model, cases: Sequence[Case]) -> None:
        self.names: dict[tuple[str, ...], str] = {}
        self._draft = draft
        self._model = found
        self._cases = cases

    def name(self, each: PassLocation, target: Target) -> list[str]:
        """Has a location pass to an upstream {} of its own; returns the header line that keeps Host.

        Raises:
            RefusedError: something else would change with it.
        """
        server = each.level.enclosing("server")
        if server is None or server.opener is None:
            raise RefusedError(
                "an upstream {} belongs into http {}, and here is no server {} to put it before"
            )
        if each.protocol == "grpc":
            raise RefusedError("naming an upstream {} would change :authority")
        self._refuse_followers(each)
        block = list(self._block(each, target))
        key = (*block, each.protocol, str(target.is_tls), *(str(each.setting(name)) for name in _IDENTITY))
        if key not in self.names:
            self.names[key] = self._unused_name(target)
            lines = [f"upstream {self.names[key]} {{", *(f"    {line}" for line in block), "}", ""]
            lines = [line.replace(_ZONE, f"zone {self.names[key]}") for line in lines]
            self._draft.put_before(server.opener, lines)
        self._draft.replace_argument(each.directive, 0, _renamed(each, target, self.names[key]))
        return self._kept(each, target) if each.protocol == "http" else []

    def _block(self, each: PassLocation, target: Target) -> Iterator[str]:
        """Yields the lines of the upstream {}."""
        address = target.server
        if _is_resolved_at_run_time(each, target):
            self._refuse_old(target)
            yield f"{_ZONE} 64k;"
            yield f"server {address} resolve;"
            for name in ("resolver", "resolver_timeout"):
                line = each.setting(name)
                if line is not None:
                    yield self._draft.raw(line)
                elif name == "resolver":
                    raise RefusedError(f"{target.host} is resolved for each request, and no resolver is here")
        else:
            yield f"server {address};"
        yield from pool_lines(self._cases[0], 1)

    def _refuse_old(self, target: Target) -> None:
        old = [case.version for case in self._cases if case.version < versions.RESOLVE]
        if old:
            raise RefusedError(
                f"{target.host} is resolved for each request, an upstream {{}} of nginx {old[0]} would do "
                f"it once, at the start: `server {target.host} resolve` needs {versions.RESOLVE}"
            )

    def _refuse_followers(self, each: PassLocation) -> None:
        """Refuses a location in which something that cannot be said outright follows the target."""
        twice = [other for other in self._model.passes if other.directive.place == each.directive.place]
        if len(twice) > 1:
            raise RefusedError("its file is included in several places, which differ in what keeps redirects")
        sharing = [other for other in self._model.passes if other is not each and _inherits(other, each)]
        if sharing:
            raise RefusedError(
                f"what keeps its Host and redirects would also hold for {sharing[0].context} "
                f"({sharing[0].directive.place}), which inherits from it"
            )
        texts = self._draft.texts(self._model.configuration.files)
        if any(re.search(r"\$\{?proxy_(?:host|port)\b", text) for text in texts):
            raise RefusedError("$proxy_host or $proxy_port is used here and would become the upstream's name")
        cache = each.setting("proxy_cache")
        if cache is not None and cache.args != ("off",) and each.setting("proxy_cache_key") is None:
            raise RefusedError("the default proxy_cache_key holds the target: give it one of its own first")

    def _kept(self, each: PassLocation, target: Target) -> list[str]:
        """Keeps redirects and the TLS name as they were; returns the header line that keeps Host."""
        self._keep_redirects(each, target)
        if target.is_tls and not target.is_unix and each.setting("proxy_ssl_name") is None:
            self._draft.add(each, f"proxy_ssl_name {target.host};")
        return [] if each.connection.names("host") else [f"proxy_set_header Host {target.host_field};"]

    def _keep_redirects(self, each: PassLocation, target: Target) -> None:
        """Says the default proxy_redirect outright: it rewrites Location fields that name the target."""
        owner = next((level for level in each.level.up() if level.all("proxy_redirect")), None)
        lines = owner.all("proxy_redirect") if owner else []
        by_default = [line for line in lines if line.args == ("default",)]
        if target.is_unix or (lines and not by_default):
            return  # nothing is rewritten by default
        if has_variables(each.target):
            # Nothing was rewritten; where the variables are gone now, the default would begin to.
            if not _rest(target):
                self._draft.add(each, "proxy_redirect off;")
            return
        location = each.level.enclosing("location")
        prefix = location.opener.args[-1] if location and location.opener and location.opener.args else "/"
        has_uri = bool(each.target.partition(target.authority)[2])
        said = f"proxy_redirect {each.target} {prefix};" if has_uri else f"proxy_redirect {each.target}/ /;"
        if by_default:
            # nginx takes `default` only behind the proxy_pass that it is about, so it stands beside it.
            for line in by_default:
                self._draft.replace(line, said)
        else:
            self._draft.add(each, said)

    def _unused_name(self, target: Target) -> str:
        plain = re.sub(r"\W+", "_", target.server.removeprefix("unix:")).strip("_").lower()
        taken = {*self._model.names.upstreams, *self.names.values()}
        wanted, number = f"backend_{plain}", 2
        name = wanted
        while name in taken:
            name, number = f"{wanted}_{number}", number + 1
        return name


_ZONE = "zone NAME"
"""Stands in the lines of a block until its name is known: what is compared is what a block says."""


# The target


def refuse_variable(each: PassLocation) -> None:
    """Refuses a target whose host is a variable that may come to more than one thing."""
    outside = [target for target in each.targets if target.group is not Group.UPSTREAM]
    if not outside or not has_variables_in_host(each):
        return
    if len(each.targets) > 1:
        named = ", ".join(target.text for target in each.targets)
        raise RefusedError(f"the target {each.target} may be {named}: pass to an upstream {{}} by its name")
    if not outside[0].is_known:
        raise RefusedError(f"each request decides what {each.target} comes to")
    path = _rest(outside[0])
    if path and not has_variables(path):
        raise RefusedError(
            f"the path of {outside[0].text} is all that is asked for while the target is a variable; "
            "with a name in its place the rest of the request's path would follow"
        )


def _is_resolved_at_run_time(each: PassLocation, target: Target) -> bool:
    """Tells whether nginx asks a resolver for a target: a target with variables is evaluated per request."""
    return has_variables(each.target) and not target.is_unix and not _IS_ADDRESS.fullmatch(target.host)


def _rest(target: Target) -> str:
    """Returns what follows the address of a target that was evaluated."""
    return (target.text.partition("://")[2] or target.text).removeprefix(target.authority)


def _renamed(each: PassLocation, target: Target, name: str) -> str:
    """Returns what to pass to instead: the same, but for the address."""
    if not has_variables_in_host(each):
        return _with_authority(each.target, target, name)
    scheme, separator, _ = target.text.rpartition(f"{target.authority}{_rest(target)}")[0].partition("://")
    return f"{scheme}{separator}{name}{_rest(target)}"


def _inherits(other: PassLocation, each: PassLocation) -> bool:
    """Tells whether a pass inherits what is written in the location of another one."""
    return location_of(each) in other.level.up()


def _with_authority(text: str, target: Target, name: str) -> str:
    if not target.is_unix:
        return text.replace(target.authority, name, 1)
    scheme, separator, rest = text.partition("://")
    uri = (rest if separator else text).removeprefix("unix:").partition(":")[2]
    return f"{scheme}://{name}{uri}" if separator else name


def names_variable(words: Sequence[str], name: str) -> bool:
    """Tells whether a variable stands in one of some words."""
    return any(is_name and piece == name for word in words for piece, is_name in pieces(word))
