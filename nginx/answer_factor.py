"""Say whether the answers of a location let its connections return to the pool, as far as the text decides.

Sources: ngx_http_upstream_send_response() in src/http/ngx_http_upstream.c (an answer that nobody reads), and
ngx_http_proxy_v2_filter_init() in src/http/modules/ngx_http_proxy_v2_module.c up to release-1.31.4. Measured
on 1.22.1 and 1.31.3.
"""

from nginx import versions
from nginx.factor import Factor
from nginx.model import PassLocation
from nginx.versions import Version


def answer_factor(each: PassLocation, version: Version) -> Factor:
    """Return whether answers are read to an end at which nginx keeps their connections."""
    is_http2 = each.protocol == "http" and each.http.effective(version) == "2"
    if is_http2 and each.has_no_body:
        line = each.setting("proxy_method")
        where = f" ({line.place})" if line else ""
        return Factor(
            False, (f"nginx pools no HTTP/2 connection after an answer without a body, as to HEAD{where}",)
        )
    if is_http2 and version < versions.HTTP2_BODIES and (line := each.body_line) is not None:
        return Factor(False, (f"HTTP/2 with `{line}` ({line.place}) is pooled since 1.30.1 and 1.31.0",))
    line = each.subrequest
    if line is not None and each.is_only_for_subrequests and not each.has_no_body:
        cause = f"the answers to {line.name} ({line.place}): nginx reads no body of theirs, so that only"
        return Factor(
            None, (f"{cause} those without one leave a connection to reuse",), depends_on=(line.name,)
        )
    return Factor(True)
