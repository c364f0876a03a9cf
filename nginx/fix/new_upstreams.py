"""Declare an upstream {} for a target that is none, so that its connections can be pooled.

That would change what depends on the target: Host, the default proxy_redirect, the TLS name. Those are
set explicitly; where something else would change, the location is rejected. A name that nginx resolves
for each request goes on being resolved: by `server ... resolve`, which needs 1.27.3.
"""

import re
from collections.abc import Collection, Iterator, Sequence

from nginx import versions
from nginx.fix.edits import EditList, Unfixable
from nginx.fix.pool_size import PoolSizer
from nginx.inheritance import Level
from nginx.model import Model, PassLocation
from nginx.process_servers import PooledServers
from nginx.rules import RuleContext
from nginx.rules.proxy_pass import has_variables_in_host
from nginx.targets import Target, TargetKind, may_name_upstream
from nginx.tree import Directive
from nginx.values import has_variables, pieces

IDENTITY = (
    *("ssl_name", "ssl_server_name", "ssl_certificate", "ssl_certificate_key", "ssl_verify"),
    *("ssl_verify_depth", "ssl_trusted_certificate", "ssl_crl", "ssl_protocols", "ssl_ciphers"),
    *("ssl_conf_command", "bind"),
)
"""What a connection keeps from the location that opened it, as directives of the protocol's module."""
_IS_ADDRESS = re.compile(r"\[.*\]|\d+(?:\.\d+){3}|localhost")


Origin = tuple[str, int]


def origin(each: PassLocation) -> Origin:
    """Return where a pass directive is written; a file that is included twice gives two locations one."""
    return each.directive.place.file, each.directive.start


def location_of(each: PassLocation) -> Level:
    """Return the level whose lines a pass directive goes by: the location {} around it."""
    return each.level.enclosing("location") or each.level


class NewUpstreams:
    """The upstream {} blocks to add, one for each address and TLS identity."""

    def __init__(
        self,
        edits: EditList,
        model: Model,
        contexts: Sequence[RuleContext],
        sizer: PoolSizer,
        taken: Collection[str],
    ) -> None:
        self.names: dict[tuple[str, ...], tuple[str, Directive]] = {}
        """The name of each block, and the server {} before which it stands."""
        self._edits = edits
        self._model = model
        self._contexts = contexts
        self._sizer = sizer
        self._taken = {name.lower() for name in taken}

    def declare(self, each: PassLocation, target: Target) -> list[str]:
        """Pass a location to an upstream {} of its own; return the header line that keeps Host.

        Raises:
            Unfixable: something else would change with it.
        """
        server = each.level.enclosing("server")
        if server is None or server.opener is None:
            raise Unfixable("an upstream {} belongs into http {}, and here is no server {} to put it before")
        if each.protocol == "grpc":
            raise Unfixable("naming an upstream {} would change :authority")
        self._reject_unseen(target)
        self._reject_dependents(each)
        block = list(self._block(each, target))
        versions_sent = {each.http.effective(ctx.version) == "2" for ctx in self._contexts}
        settings = [str(each.module_setting(name)) for name in IDENTITY]
        key = (*block, each.protocol, str(target.is_tls), str(versions_sent), *settings)
        name, opener = self.names.setdefault(key, (self._unused_name(target), server.opener))
        lines = [f"upstream {name} {{", *(f"    {line}" for line in block), "}", ""]
        # Each location brings the block with it, in case the others are left as they are.
        self._edits.insert_before(opener, [line.replace(_ZONE, f"zone {name}") for line in lines])
        self._edits.replace_argument(each.directive, 0, _renamed(each, target, name))
        return self._keep_identity(each, target) if each.protocol == "http" else []

    def _block(self, each: PassLocation, target: Target) -> Iterator[str]:
        """Yield the lines of the upstream {}."""
        address = target.server
        if _is_resolved_at_run_time(each, target):
            self._reject_old_versions(target)
            yield f"{_ZONE} 64k;"
            yield f"server {address} resolve;"
            for name in ("resolver", "resolver_timeout"):
                line = each.setting(name)
                if line is not None:
                    yield self._edits.raw(line)
                elif name == "resolver":
                    raise Unfixable(f"{target.host} is resolved for each request, and no resolver is here")
        else:
            yield f"server {address};"
        yield from self._sizer.lines(PooledServers.alone(self._plain_name(target), each.protocol, address))

    def _reject_old_versions(self, target: Target) -> None:
        old = [ctx.version for ctx in self._contexts if ctx.version < versions.RESOLVE]
        if old:
            raise Unfixable(
                f"{target.host} is resolved for each request, an upstream {{}} of nginx {old[0]} would do "
                f"it once, at the start: `server {target.host} resolve` needs {versions.RESOLVE}"
            )

    def _reject_unseen(self, target: Target) -> None:
        """Reject a word that may be the name of an upstream {} in a file that was not read."""
        configuration = self._model.configuration
        is_part = configuration.is_fragment or bool(configuration.missing)
        if is_part and not target.is_unix and not target.has_port and may_name_upstream(target.host):
            raise Unfixable(f'another file may have an upstream "{target.host}": give it with --with')

    def _reject_dependents(self, each: PassLocation) -> None:
        """Reject a location in which something depends on the target that cannot be set explicitly."""
        includes = [other for other in self._model.passes if origin(other) == origin(each)]
        if len(includes) > 1:
            raise Unfixable("its file is included in several places, which differ in what keeps redirects")
        sharing = [other for other in self._model.passes if other is not each and _inherits(other, each)]
        if sharing:
            raise Unfixable(
                f"what keeps its Host and redirects would also hold for {sharing[0].context} "
                f"({sharing[0].directive.place}), which inherits from it"
            )
        texts = self._edits.texts(self._model.configuration.files)
        if any(re.search(r"\$\{?proxy_(?:host|port)\b", text) for text in texts):
            raise Unfixable("$proxy_host or $proxy_port is used here and would become the upstream's name")
        cache = each.setting("proxy_cache")
        if cache is not None and not cache.is_off and each.setting("proxy_cache_key") is None:
            raise Unfixable("the default proxy_cache_key holds the target: give it one of its own first")

    def _keep_identity(self, each: PassLocation, target: Target) -> list[str]:
        """Keep redirects and the TLS name as they were; return the header line that keeps Host."""
        self._keep_redirects(each, target)
        if target.is_tls and not target.is_unix and each.setting("proxy_ssl_name") is None:
            self._edits.add_to_location(each, f"proxy_ssl_name {target.host};")
        return [] if each.connection.lines_of("host") else [f"proxy_set_header Host {target.host_field};"]

    def _keep_redirects(self, each: PassLocation, target: Target) -> None:
        """Write the default proxy_redirect explicitly: it rewrites Location fields that name the target."""
        owner = next((level for level in each.level.up() if level.all("proxy_redirect")), None)
        lines = owner.all("proxy_redirect") if owner else []
        by_default = [line for line in lines if line.args == ("default",)]
        if target.is_unix or (lines and not by_default):
            return  # nothing is rewritten by default
        if has_variables(each.target):
            # Nothing was rewritten; where the variables are gone now, the default would begin to.
            if not _rest(target):
                self._edits.add_to_location(each, "proxy_redirect off;")
            return
        location = each.level.enclosing("location")
        prefix = location.opener.args[-1] if location and location.opener and location.opener.args else "/"
        has_uri = bool(each.target.partition(target.authority)[2])
        explicit = (
            f"proxy_redirect {each.target} {prefix};" if has_uri else f"proxy_redirect {each.target}/ /;"
        )
        if by_default:
            # nginx accepts `default` only behind the proxy_pass that it is about, so both are in one block.
            for line in by_default:
                self._edits.replace(line, explicit)
        else:
            self._edits.add_to_location(each, explicit)

    def _plain_name(self, target: Target) -> str:
        return "backend_" + re.sub(r"\W+", "_", target.server.removeprefix("unix:")).strip("_").lower()

    def _unused_name(self, target: Target) -> str:
        taken = {*self._model.names.upstreams, *self._taken, *(name for name, _ in self.names.values())}
        wanted, number = self._plain_name(target), 2
        name = wanted
        while name in taken:
            name, number = f"{wanted}_{number}", number + 1
        return name


_ZONE = "zone NAME"
"""A placeholder in the lines of a block, so that blocks are compared without their names."""


# The target


def reject_variable(each: PassLocation) -> None:
    """Reject a target whose host is a variable that can have more than one value."""
    outside = [target for target in each.targets if target.kind is not TargetKind.UPSTREAM]
    if not outside or not has_variables_in_host(each):
        return
    if len(each.targets) > 1:
        named = ", ".join(target.text for target in each.targets)
        raise Unfixable(f"the target {each.target} may be {named}: pass to an upstream {{}} by its name")
    if not outside[0].is_known:
        raise Unfixable(f"each request decides what {each.target} comes to")
    path = _rest(outside[0])
    if path and not has_variables(path):
        raise Unfixable(
            f"the path of {outside[0].text} is all that is requested while the target is a variable; "
            "with a name in its place the rest of the request's path would follow"
        )


def _is_resolved_at_run_time(each: PassLocation, target: Target) -> bool:
    """Return whether nginx resolves a target at run time: one with variables is evaluated per request."""
    return has_variables(each.target) and not target.is_unix and not _IS_ADDRESS.fullmatch(target.host)


def _rest(target: Target) -> str:
    """Return what follows the address of a target that was evaluated."""
    return (target.text.partition("://")[2] or target.text).removeprefix(target.authority)


def _renamed(each: PassLocation, target: Target, name: str) -> str:
    """Return what to pass to instead: the same, but for the address."""
    if not has_variables_in_host(each):
        return _with_authority(each.target, target, name)
    scheme, separator, _ = target.text.rpartition(f"{target.authority}{_rest(target)}")[0].partition("://")
    return f"{scheme}{separator}{name}{_rest(target)}"


def _inherits(other: PassLocation, each: PassLocation) -> bool:
    """Return whether a pass inherits what is written in the location of another one."""
    return location_of(each) in other.level.up()


def _with_authority(text: str, target: Target, name: str) -> str:
    if not target.is_unix:
        return text.replace(target.authority, name, 1)
    scheme, separator, rest = text.partition("://")
    uri = (rest if separator else text).removeprefix("unix:").partition(":")[2]
    return f"{scheme}://{name}{uri}" if separator else name


def names_variable(words: Sequence[str], name: str) -> bool:
    """Return whether a variable is used in one of some words."""
    return any(is_name and piece == name for word in words for piece, is_name in pieces(word))
