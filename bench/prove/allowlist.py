"""The directive allowlist: which directives of a configuration stay in the copy that runs. Tables.

What stays is listed by name, so that an unknown directive is left out: what runs must neither open a file,
nor reach a network, nor run code. What is replaced is in bench/prove/rewrite.py.
"""

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _each(prefixes: str, names: str) -> frozenset[str]:
    return frozenset(f"{prefix}_{name}" for prefix in prefixes.split() for name in names.split())


_CORE = _words(
    """absolute_redirect chunked_transfer_encoding client_body_buffer_size client_body_in_single_buffer
    client_body_timeout client_header_buffer_size client_header_timeout client_max_body_size
    connection_pool_size default_type etag if_modified_since ignore_invalid_headers internal keepalive_disable
    keepalive_min_timeout keepalive_requests keepalive_time keepalive_timeout large_client_header_buffers
    lingering_close lingering_time lingering_timeout log_not_found log_subrequest max_headers max_ranges
    merge_slashes msie_padding msie_refresh output_buffers port_in_redirect postpone_output
    recursive_error_pages request_pool_size reset_timedout_connection resolver_timeout send_lowat send_timeout
    sendfile sendfile_max_chunk server_name server_name_in_redirect server_names_hash_bucket_size
    server_names_hash_max_size server_tokens subrequest_output_buffer_size tcp_nodelay tcp_nopush
    try_files types_hash_bucket_size types_hash_max_size underscores_in_headers variables_hash_bucket_size
    variables_hash_max_size error_page break return rewrite rewrite_log set uninitialized_variable_warn
    map_hash_bucket_size map_hash_max_size referer_hash_bucket_size referer_hash_max_size valid_referers"""
)
_RESPONSES = _words(
    """add_header add_header_inherit add_trailer add_trailer_inherit expires autoindex autoindex_exact_size
    autoindex_format autoindex_localtime index stub_status empty_gif gzip gzip_buffers gzip_comp_level
    gzip_disable gzip_http_version gzip_min_length gzip_proxied gzip_static gzip_types gzip_vary gunzip
    gunzip_buffers charset charset_types override_charset source_charset sub_filter sub_filter_last_modified
    sub_filter_once sub_filter_types ssi ssi_last_modified ssi_min_file_chunk ssi_silent_errors ssi_types
    ssi_value_length add_before_body add_after_body addition_types secure_link secure_link_md5
    secure_link_secret userid userid_domain userid_expires userid_mark userid_name userid_p3p userid_path
    userid_service more_set_headers more_clear_headers more_set_input_headers more_clear_input_headers
    ancient_browser modern_browser"""
)
_SUBREQUESTS = _words("auth_request auth_request_set mirror mirror_request_body slice")
_PASSING = _each(
    "proxy fastcgi uwsgi scgi grpc memcached",
    """buffer_size buffering buffers busy_buffers_size connect_timeout force_ranges hide_header
    ignore_client_abort ignore_headers intercept_errors limit_rate max_temp_file_size next_upstream
    next_upstream_timeout next_upstream_tries pass_header pass_request_body pass_request_headers
    read_timeout request_buffering send_lowat send_timeout socket_keepalive temp_file_write_size
    set_header param index split_path_info catch_stderr keep_conn modifier1 modifier2 gzip_flag""",
)
_HTTP = _words(
    """proxy_http_version proxy_method proxy_set_body proxy_redirect proxy_cookie_domain proxy_cookie_flags
    proxy_cookie_path proxy_headers_hash_bucket_size proxy_headers_hash_max_size proxy_pass_trailers"""
)
_TLS_UPSTREAM = _each(
    "proxy grpc uwsgi", "ssl_ciphers ssl_name ssl_protocols ssl_server_name ssl_session_reuse"
)
KEPT = _CORE | _RESPONSES | _SUBREQUESTS | _PASSING | _HTTP | _TLS_UPSTREAM

BLOCKS = _words("server location if limit_except")
"""Blocks whose directives are checked one by one."""
DATA = _words("map geo split_clients types charset_map")
"""Blocks of data, which stay as they are except for missing includes."""
UPSTREAM = _words(
    """keepalive keepalive_requests keepalive_time keepalive_timeout zone hash ip_hash least_conn least_time
    random sticky fair consistent_hash session_sticky ewma resolver_timeout"""
)
"""What stays in an upstream {}: all of it affects connections."""
HARMLESS_UPSTREAM = _words(
    """state resolver queue check check_http_send check_http_expect_alive check_keepalive_requests
    check_fastcgi_param check_shm_size"""
)
"""What does not decide about connections, and is left out of an upstream {} all the same."""
RUN_TIME = _words("dyups_interface dynamic_upstream upstream_conf")
"""What can replace the servers of any upstream {} while nginx runs, and its pool with them."""
AFFECTS_REUSE = UPSTREAM | _words(
    "server upstream proxy_http_version proxy_set_header fastcgi_keep_conn grpc_set_header"
)
"""What is never left out where an nginx does not know it: reuse might differ without it."""

_CLIENT = "this run has its own clients (HTTP/2 where a listener accepts it) and its own certificate"
_REASONS = (
    (r"limit_(req|conn|zone|rate)\w*", "requests would be held back"),
    (r"allow|deny|satisfy|auth_(basic|delay|jwt|digest|ldap)\w*", "every client is allowed here"),
    (r"access_log|error_log|log_format|open_log_file_cache|js_access_log", "nothing is logged here"),
    (r"ssl|ssl_\w+|http[23]|http[23]_\w+|quic_\w+", _CLIENT),
    (r"open_file_cache\w*|aio\w*|directio\w*|disable_symlinks|read_ahead|client_body_in_file_only", ""),
    (r"\w*dav_\w+|create_full_put_path|min_delete_depth|random_index|geoip\w*|image_filter\w*|xslt_\w+", ""),
    (r"mp4\w*|flv|hls\w*|state", ""),
    (r"\w+_cache(_\w+)?|\w+_no_cache|\w+_store(_access)?", "each request must reach its backend"),
    (r"\w+_temp_path", "temporary files are in the scratch folder"),
    (r"\w+_ssl_\w+", "upstream certificates are not verified here, and no client certificate is sent"),
    (r"\w+_bind", "the lab's own source addresses are used"),
    (r"\w*lua\w*|js_\w+|perl\w*", "no code is run"),
    (r"resolver|set_real_ip_from|real_ip_\w+", "no name is resolved: every peer is a backend of this run"),
)
_NO_FILES = "no file outside the scratch folder is read or written"


_WORD = re.compile(r"[!-~]+")


def is_odd(name: str) -> bool:
    """Return whether a directive's name holds what no name has, such as a byte order mark.

    Such a directive stays, so that nginx judges it.
    """
    return _WORD.fullmatch(name) is None


def why_left_out(name: str) -> str:
    """Return why a directive that is neither kept nor replaced is left out."""
    for pattern, why in _REASONS:
        if re.fullmatch(pattern, name):
            return why or _NO_FILES
    return "not known to be harmless"
