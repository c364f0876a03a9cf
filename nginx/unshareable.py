"""Find what makes a connection belong to one client or one identity, so that a pool would be wrong for it."""

import re
from collections.abc import Iterator

from nginx.model import PassLocation
from nginx.tree import Directive
from nginx.values import has_variables

_WINDOWS = re.compile(
    r"/(?:owa|ews|ecp|mapi|oab|rpc|autodiscover|microsoft-server-activesync|_vti_bin)\b", re.I
)
_NTLM = re.compile(r"\b(?:ntlm|negotiate)\b", re.IGNORECASE)


def unshareable(each: PassLocation) -> Directive | None:
    """Return the directive because of which a location's connections must not be pooled, or None."""
    return client_address(each) or next(variable_identities(each), None) or authenticates_connection(each)


def client_address(each: PassLocation) -> Directive | None:
    """Return the bind line that takes the source address from the request (`proxy_bind $remote_addr`)."""
    line = each.module_setting("bind")
    if line is None or line.args[:1] in {(), ("off",)}:
        return None
    return line if has_variables(line.args[0]) or "transparent" in line.args else None


def variable_identities(each: PassLocation) -> Iterator[Directive]:
    """Yield the lines that take the TLS server name or the certificate from the request."""
    if not any(target.is_tls for target in each.targets):
        return
    for name in ("ssl_name", "ssl_certificate"):
        line = each.module_setting(name)
        value = line.args[0] if line is not None and line.args else ""
        is_fixed = value == "$proxy_host" and len(each.scope.values(value)) == 1
        if line is not None and has_variables(value) and not is_fixed:
            yield line


def authenticates_connection(each: PassLocation) -> Directive | None:
    """Return what looks like NTLM or Negotiate, which authenticate a connection and not a request."""
    line = next((d for d in each.level.block if _NTLM.search(" ".join(d.args))), None)
    return line or (each.directive if _WINDOWS.search(each.context) else None)
