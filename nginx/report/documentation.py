"""Find the page of nginx's documentation that a rule is about."""

_BASE = "https://nginx.org/en/docs/"
_CORE, _PROXY, _UPSTREAM = (
    f"http/ngx_http_{module}_module.html#" for module in ("core", "proxy", "upstream")
)
POOLS = f"{_BASE}{_UPSTREAM}keepalive"
"""What the rules as a whole are about."""
_ABOUT = {
    f"{_UPSTREAM}keepalive": "NK001 NK008 NK015 NK016 NK022 NK023 NK030 NK046 NK047 NK050 NK051 NK055 NK060",
    f"{_UPSTREAM}keepalive_requests": "NK020 NK059",
    f"{_UPSTREAM}keepalive_timeout": "NK018 NK021",
    f"{_UPSTREAM}max_conns": "NK039",
    f"{_UPSTREAM}ntlm": "NK032",
    f"{_UPSTREAM}server": "NK040",
    f"{_PROXY}proxy_bind": "NK031",
    f"{_PROXY}proxy_buffering": "NK045 NK056 NK057",
    f"{_PROXY}proxy_http_version": "NK002 NK014 NK049",
    f"{_PROXY}proxy_ignore_client_abort": "NK043",
    f"{_PROXY}proxy_intercept_errors": "NK042",
    f"{_PROXY}proxy_limit_rate": "NK061",
    f"{_PROXY}proxy_next_upstream": "NK025 NK026",
    f"{_PROXY}proxy_pass": "NK006 NK007 NK048",
    f"{_PROXY}proxy_read_timeout": "NK058",
    f"{_PROXY}proxy_request_buffering": "NK027 NK044",
    f"{_PROXY}proxy_set_header": "NK003 NK003b NK004 NK005 NK010 NK011 NK012 NK013",
    f"{_PROXY}proxy_socket_keepalive": "NK038",
    f"{_PROXY}proxy_ssl_name": "NK029",
    f"{_PROXY}proxy_ssl_session_reuse": "NK028",
    f"{_CORE}keepalive_disable": "CK103",
    f"{_CORE}keepalive_min_timeout": "CK105",
    f"{_CORE}keepalive_requests": "CK102 CK112",
    f"{_CORE}keepalive_time": "CK113",
    f"{_CORE}keepalive_timeout": "CK101 CK104 NK017",
    f"{_CORE}lingering_close": "CK106",
    f"{_CORE}listen": "CK109",
    f"{_CORE}location": "NX005",
    f"{_CORE}send_timeout": "CK107",
    f"{_CORE}tcp_nodelay": "CK111",
    "http/ngx_http_auth_request_module.html#auth_request": "NK041",
    "http/ngx_http_fastcgi_module.html#fastcgi_keep_conn": "NK033 NK034",
    "http/ngx_http_grpc_module.html#grpc_pass": "NK036 NK054",
    "http/ngx_http_headers_module.html#add_header": "CK108",
    "http/ngx_http_memcached_module.html#memcached_pass": "NK037",
    "http/ngx_http_uwsgi_module.html#uwsgi_pass": "NK035",
    "http/websocket.html": "NK009 NK052",
    "ngx_core_module.html#include": "NK053",
    "ngx_core_module.html#worker_connections": "CK110 NK024",
    "beginners_guide.html#conf_structure": "NK019 NX001 NX002 NX003 NX004",
}
_PAGES = {rule: page for page, rules in _ABOUT.items() for rule in rules.split()}


def help_uri(rule_id: str) -> str:
    """Return the address of what nginx documents about a rule's subject; each rule has a row above."""
    return _BASE + _PAGES[rule_id]
