"""How each odd request is to be read: the strict reading first, then what is right as well.

The strict side is taken wherever RFC 9110 and 9112 leave a choice. What only depends on a reader's limits is
accepted first and may be refused. Backends may differ from a proxy in the second table alone.
"""

from tests.messages.model import Accept, Incomplete, Refuse, RequestReading

HELLO = b"hello"
NEXT = b"GET /g2 HTTP/1.1\r\nHost: localhost\r\n\r\n"

PLAIN = (Accept(),)
CHUNKED = (Accept("POST", "chunked", HELLO),)
FIVE = (Accept("POST", "CL=5", HELLO),)


def _refuse(clause: str, *statuses: int) -> tuple[Refuse]:
    return (Refuse(statuses or (400,), clause),)


def _refuse_body(clause: str, *statuses: int) -> tuple[Refuse]:
    return (Refuse(statuses or (400,), clause, in_body=True),)


BOTH = _refuse("RFC 9112, 6.1 and 6.3: Content-Length beside Transfer-Encoding is a sign of smuggling")
# An unknown coding beside a Content-Length: which of the two faults a reader sees first is its own affair.
BOTH_ODD = _refuse("RFC 9112, 6.1: unknown coding, and a Content-Length beside it", 400, 501)
UNKNOWN_CODING = _refuse("RFC 9112, 6.1: a transfer coding that we do not undo", 501, 400)
NOT_FINAL = _refuse("RFC 9112, 6.3, item 4: chunked is not the final coding", 400, 501)
BAD_LENGTH = _refuse("RFC 9112, 6.3, item 5: not a valid Content-Length")
BARE_LF = _refuse("RFC 9112, 2.2: a bare LF may be taken for a line's end; we do not")
BARE_CR = _refuse("RFC 9112, 2.2: a bare CR is invalid")
FOLD = _refuse("RFC 9112, 5.2: obs-fold, refused rather than unfolded")
BAD_NAME = _refuse("RFC 9112, 5 and RFC 9110, 5.1: a field name is a token with a colon right after it")
BAD_VALUE = _refuse("RFC 9110, 5.5: a control character in a field value")
BAD_HOST = _refuse("RFC 9112, 3.2: exactly one Host field with a valid value")
BAD_TARGET = _refuse("RFC 9112, 3.2: none of the four forms of a request target")
BAD_LINE = _refuse("RFC 9112, 3: malformed request line")
BAD_VERSION = _refuse("RFC 9112, 2.3: not an HTTP version", 400, 505)
BAD_CHUNK = _refuse_body("RFC 9112, 7.1: malformed chunk")
BIG_TRAILERS = _refuse_body("RFC 6585, 5, and RFC 9112, 7.1.2: longer than the reader takes", 431, 413, 400)
BIG_HEAD = Refuse((431, 400), "RFC 6585, 5: more fields than the reader takes")

EXPECTED: dict[str, tuple[RequestReading, ...]] = {
    "control_get": PLAIN,
    "control_post_cl": FIVE,
    "pipelined_2_gets": (Accept(trailing=NEXT),),
    "pipelined_post_get": (Accept("POST", "CL=5", HELLO, trailing=NEXT),),
    "get_halfclose": PLAIN,
    # Content-Length with Transfer-Encoding.
    "cl_te_clfirst": BOTH,
    "cl_te_smuggled_get": BOTH,
    "cl_te_http10": BOTH,
    # Transfer-Encoding in disguise, beside a Content-Length of 5.
    "te_xchunked": BOTH_ODD,
    "te_tab_before_colon": BAD_NAME,
    "te_vtab_value": BOTH_ODD,
    "te_nbsp_value": BOTH_ODD,
    "te_cr_suffix": BARE_CR,
    "te_lf_smuggled": BARE_LF,
    "te_cr_smuggled": BARE_CR,
    "te_leading_space_line": FOLD,
    "te_underscore": FIVE,  # another field, of no meaning
    "te_trailing_comma": BOTH_ODD,
    "te_chunk": BOTH_ODD,
    "te_empty": BOTH_ODD,
    "te_two_words": BOTH_ODD,
    "te_nul": BAD_VALUE,
    "te_name_nul": BAD_NAME,
    "te_identity_cl": BOTH_ODD,
    # Transfer-Encoding alone.
    "te_tab_value": CHUNKED,  # RFC 9110, 5.6.3: a tab is white space
    "te_trailing_tab": CHUNKED,
    "te_gzip_chunked": UNKNOWN_CODING,
    "te_gzip_only": NOT_FINAL,
    "te_identity_chunked": UNKNOWN_CODING,
    "te_chunked_identity": NOT_FINAL,
    "te_chunked_chunked": _refuse("RFC 9112, 6.1: chunked is applied once at most", 400, 501),
    "te_two_lines_identity_chunked": UNKNOWN_CODING,
    "te_two_lines_chunked_identity": NOT_FINAL,
    "te_leading_comma": _refuse("RFC 9112, 6.1: exactly `chunked`; empty members hide codings", 400, 501),
    "te_http10_keepalive": _refuse("RFC 9112, 6.1: Transfer-Encoding in HTTP/1.0 is faulty framing"),
    "te_on_get": (Accept("GET", "chunked", HELLO),),
    # Content-Length.
    "cl_two_different": BAD_LENGTH,
    "cl_list_5_5": BAD_LENGTH,  # RFC 9110, 8.6, lets us merge or refuse; who repeats it repairs nothing
    "cl_list_5_6": BAD_LENGTH,
    "cl_minus": BAD_LENGTH,
    "cl_huge_20x9": _refuse("RFC 9110, 8.6: a length beyond 2^63", 400, 413),
    "cl_2p63m1": (Incomplete("CL=9223372036854775807", HELLO), Refuse((413, 400), "RFC 9110, 15.5.14")),
    "cl_space_inside": BAD_LENGTH,
    "cl_hex": BAD_LENGTH,
    "cl_empty": BAD_LENGTH,
    "cl_dot": BAD_LENGTH,
    "cl_trailing_space": FIVE,
    "cl_letters": BAD_LENGTH,
    "cl_space_before_colon": BAD_NAME,
    "cl_underscore": (Accept("POST", trailing=HELLO),),  # another field; no body, so `hello` begins a request
    "cl_on_get": (Accept("GET", "CL=5", HELLO),),
    "cl_short_halfclose": (Incomplete("CL=10", HELLO),),
    # Lines and fields.
    "obs_fold": FOLD,
    "obs_fold_host": FOLD,
    "bare_lf_everywhere": BARE_LF,
    "bare_lf_one_line": BARE_LF,
    "bare_lf_request_line": BARE_LF,
    "bare_cr_in_value": BARE_CR,
    "bare_cr_in_name": BARE_CR,
    "nul_in_value": BAD_VALUE,
    "nul_in_name": BAD_NAME,
    "ctl_01_in_value": BAD_VALUE,
    "tab_in_value": PLAIN,
    "latin1_in_value": PLAIN,  # RFC 9110, 5.5: obs-text is opaque data
    "space_before_colon": BAD_NAME,
    "empty_name": BAD_NAME,
    "no_colon": BAD_NAME,
    "bracket_in_name": BAD_NAME,
    "underscore_in_name": PLAIN,
    "dot_in_name": PLAIN,
    "latin1_in_name": BAD_NAME,
    # Host.
    "host_two_different": BAD_HOST,
    "host_two_equal": BAD_HOST,
    "host_none_11": BAD_HOST,
    "host_empty": _refuse("RFC 9110, 4.2.1: an http URI with an empty host is invalid"),
    "host_space_inside": BAD_HOST,
    "host_list": BAD_HOST,
    "host_path": BAD_HOST,
    "host_bad_port": BAD_HOST,
    "host_tab_ows": PLAIN,
    "host_latin1": BAD_HOST,
    # Request target.
    "absolute_same_host": PLAIN,
    "absolute_other_host": PLAIN,  # RFC 9112, 3.2.2: the target's authority replaces Host
    "absolute_https": (
        *_refuse("RFC 9110, 7.4: https over an unsecured connection is misdirected", 421, 400),
        *PLAIN,
    ),
    "absolute_userinfo": _refuse("RFC 9110, 4.2.4: userinfo in an http URI is an error"),
    "absolute_ftp": _refuse("RFC 9110, 7.4: a scheme that we do not serve", 400, 421),
    "authority_form_get": BAD_TARGET,
    "asterisk_get": BAD_TARGET,
    "asterisk_options": (Accept("OPTIONS"),),
    "space_in_target": BAD_LINE,
    "tab_in_target": BAD_LINE,
    "nonascii_in_target": BAD_LINE,
    "pct00_in_target": PLAIN,
    "fragment_in_target": BAD_TARGET,
    # RFC 3986 has none of these, browsers send some of them as they are: harmless if passed on unchanged.
    "backslash_in_target": (*BAD_TARGET, *PLAIN),
    "quote_lt_in_target": (*BAD_TARGET, *PLAIN),
    "pipe_brace_in_query": (*BAD_TARGET, *PLAIN),
    "dot_segments": PLAIN,
    "pct_dot_segments": PLAIN,
    "above_root": PLAIN,
    "pct_slash": PLAIN,
    "target_100k": (Refuse((414, 431, 400), "RFC 9112, 3: longer than the reader takes"), *PLAIN),
    "empty_target": BAD_LINE,
    # Request line.
    "http09": (*BAD_LINE, Incomplete()),  # a reader may wait for the end of the head
    "no_version_space": BAD_LINE,
    "http_1_0": (Accept(keep_alive=False),),
    # RFC 9110, 6.2: a higher minor version SHOULD be read as the highest one known.
    "http_1_2": (*PLAIN, Refuse((505, 400), "RFC 9110, 15.6.6")),
    "http_9_9": _refuse("RFC 9110, 15.6.6: another major version", 505, 400),
    "http_1_01": BAD_VERSION,
    "http_1_10": BAD_VERSION,
    "http_1": BAD_VERSION,
    "http_lower": BAD_VERSION,
    "http_nonsense": BAD_VERSION,
    "method_lower": (Accept("get"), Refuse((501, 400, 405), "RFC 9110, 9.1: an unknown method")),
    "method_unknown": (Accept("FOO"), Refuse((501, 405), "RFC 9110, 9.1: an unknown method")),
    "method_tchar": (Accept("M^T~"), Refuse((501, 400, 405), "RFC 9110, 9.1: an unknown method")),
    "method_long_1k": (
        Accept("A" * 1000),
        Refuse((501, 400, 405, 414, 431), "RFC 9112, 3: a method longer than any known"),
    ),
    "connect_authority": _refuse("RFC 9110, 9.3.6: CONNECT is for proxies that tunnel", 501, 405, 400, 403),
    "connect_path": _refuse("RFC 9112, 3.2.3: CONNECT takes host and port", 400, 405, 501),
    "trace_body": (
        *_refuse("RFC 9110, 9.3.8: TRACE carries no content", 400, 405, 501),
        Accept("TRACE", "CL=5", HELLO),
    ),
    "head": (Accept("HEAD"),),
    "leading_crlf_1": PLAIN,  # RFC 9112, 2.2: an empty line before the request line is ignored
    "leading_lf": BARE_LF,
    "leading_space": BAD_LINE,
    "two_spaces": BAD_LINE,
    "trailing_space": BAD_LINE,
    "tls_client_hello": (*BAD_LINE, Incomplete()),
    # Chunks.
    "chunk_ext": CHUNKED,
    "chunk_ext_bare_lf": BAD_CHUNK,
    "chunk_ext_bare_cr": BAD_CHUNK,
    "chunk_ext_20k": (*_refuse_body("RFC 9112, 7.1.1: extensions are limited", 400, 413, 431), *CHUNKED),
    "chunk_size_0x": BAD_CHUNK,
    "chunk_size_minus": BAD_CHUNK,
    "chunk_size_plus": BAD_CHUNK,
    "chunk_size_ffffffffffffffff": _refuse_body("RFC 9112, 7.1: a size beyond 2^63", 400, 413),
    "chunk_size_7fffffffffffffff": (
        *_refuse_body("RFC 9112, 7.1: a size near 2^63", 400, 413),
        Incomplete("chunked", b"hello\r\n0\r\n\r\n"),
    ),
    "chunk_size_trailing_space": BAD_CHUNK,  # white space is for extensions only
    "chunk_size_empty": BAD_CHUNK,
    "chunk_size_leading_zeros": (*CHUNKED, *_refuse_body("RFC 9112, 7.1: more digits than the reader takes")),
    "chunk_size_underscore": BAD_CHUNK,
    "chunk_missing_crlf_after_data": BAD_CHUNK,
    "chunk_data_too_long": BAD_CHUNK,
    "chunk_data_lf_after": BAD_CHUNK,
    "chunk_end_lf": BAD_CHUNK,
    "chunk_missing_last_halfclose": (Incomplete("chunked", HELLO),),
    "trailer": CHUNKED,
    # RFC 9110, 6.5.1: never merged into the head; dropped, or refused.
    "trailer_content_length": (*CHUNKED, *_refuse_body("RFC 9110, 6.5.1")),
    "trailer_host": (*CHUNKED, *_refuse_body("RFC 9110, 6.5.1")),
    "trailer_bad": _refuse_body("RFC 9112, 7.1.2: a malformed trailer field"),
    # Hop by hop.
    "conn_close": (Accept(keep_alive=False),),
    "conn_keepalive_11": PLAIN,
    "conn_keepalive_10": PLAIN,
    "conn_keepalive_x_foo": PLAIN,
    # RFC 9110, 7.6.1: not to be sent; Host and Content-Length are never removed for it.
    "conn_host": (*PLAIN, *_refuse("RFC 9110, 7.6.1")),
    "conn_content_length": (*FIVE, *_refuse("RFC 9110, 7.6.1")),
    "conn_authorization": PLAIN,
    "conn_xff": PLAIN,
    "conn_two_lines": (Accept(keep_alive=False),),
    "conn_bad_token": (*PLAIN, *_refuse("RFC 9110, 7.6.1: a connection option is a token")),
    "keep_alive_field": PLAIN,
    "proxy_connection": PLAIN,
    "te_trailers": PLAIN,
    "te_gzip": PLAIN,
    "upgrade_websocket": PLAIN,
    "upgrade_without_connection": PLAIN,
    "max_forwards_0": PLAIN,  # RFC 9110, 7.6.2: of meaning for TRACE and OPTIONS only
    "trace_max_forwards_0": _refuse("RFC 9110, 7.6.2: not to be forwarded", 405, 501, 400),
    # Expect.
    "expect_foo": (*_refuse("RFC 9110, 10.1.1: an expectation that cannot be met", 417), *PLAIN),
    "expect_100_get": PLAIN,  # no content: nothing to continue with
    "expect_100_post_body_at_once": (Accept("POST", "CL=5", HELLO, expects_continue=True),),
    "expect_100_http10": (Accept("POST", "CL=5", HELLO, keep_alive=False),),
    "expect_100_twice": (
        Accept("POST", "CL=5", HELLO, expects_continue=True),
        *_refuse("RFC 9110, 10.1.1: repeated", 400, 417),
    ),
    # Sizes: a matter of the reader's limits.
    "header_9k": (*PLAIN, BIG_HEAD),
    "header_50k": (*PLAIN, BIG_HEAD),
    "header_100k": (BIG_HEAD, *PLAIN),
    "header_2m": (BIG_HEAD,),
    "headers_150": (*PLAIN, BIG_HEAD),
    "headers_1000": (BIG_HEAD, *PLAIN),
    "headers_10x3k": (*PLAIN, BIG_HEAD),
    "body_2m": (
        Accept("POST", f"CL={2 << 20}", b"a" * (2 << 20)),
        Refuse((413,), "RFC 9110, 15.5.14: more than the reader takes"),
    ),
    # Messages of our own: the same faults in other spellings.
    "own_cl_two_equal": BAD_LENGTH,
    "own_cl_plus": BAD_LENGTH,
    "own_cl_leading_zero": FIVE,  # 1*DIGIT
    "own_cl_underscores": BAD_LENGTH,  # what Python's int() takes
    "own_cl_arabic_digit": BAD_LENGTH,
    "own_cl_trailing_comma": BAD_LENGTH,
    "own_cl_vertical_tab": BAD_VALUE,
    "own_cl_case": FIVE,
    "own_cl_zero": (Accept("POST", "none", trailing=b"NEXT"), Accept("POST", "CL=0", trailing=b"NEXT")),
    "own_te_case": CHUNKED,  # RFC 9112, 7: names of codings are case-insensitive
    "own_te_parameter": UNKNOWN_CODING,
    "own_te_quoted": UNKNOWN_CODING,
    "own_te_two_equal_lines": _refuse("RFC 9112, 6.1: chunked is applied once at most", 400, 501),
    "own_te_space_before_colon": BAD_NAME,
    "own_te_then_cl": BOTH,
    "own_te_form_feed": _refuse("RFC 9110, 5.5: a control character in a field value", 400, 501),
    "own_te_http10": _refuse("RFC 9112, 6.1: Transfer-Encoding in HTTP/1.0 is faulty framing"),
    "own_first_field_folded": FOLD,
    "own_fold_tab": FOLD,
    "own_del_in_value": BAD_VALUE,
    "own_cr_before_crlf": BARE_CR,
    "own_lf_ends_head": BARE_LF,
    "own_space_in_name": BAD_NAME,
    "own_quote_in_name": BAD_NAME,
    "own_empty_value": PLAIN,
    "own_colon_in_value": PLAIN,
    "own_host_comma": BAD_HOST,
    "own_host_userinfo": BAD_HOST,
    "own_host_ipv6": PLAIN,
    "own_host_port_empty": PLAIN,  # RFC 3986, 3.2.3: port = *DIGIT
    "own_host_none_10": (Accept(keep_alive=False),),
    "own_host_two_10": BAD_HOST,
    "own_host_adjacent_case": BAD_HOST,
    "own_close_list": (Accept(keep_alive=False),),
    "own_close_and_keep_alive": (Accept(keep_alive=False),),  # RFC 9112, 9.3: close comes first
    "own_close_tab": (Accept(keep_alive=False),),
    "own_chunk_hex_case": (Accept("POST", "chunked", HELLO * 2),),
    "own_chunk_two": (Accept("POST", "chunked", HELLO, b"NEXT"),),
    "own_chunk_last_zeros": CHUNKED,
    "own_chunk_leading_space": BAD_CHUNK,
    "own_chunk_bare_cr_end": BAD_CHUNK,
    "own_chunk_overflow_wraps": _refuse_body("RFC 9112, 7.1: a size beyond 2^64", 400, 413),
    "own_chunk_ext_quoted": CHUNKED,
    "own_chunk_ext_spaces": (*CHUNKED, *BAD_CHUNK),  # RFC 9112, 7.1.1: BWS, bad but to be taken
    "own_trailer_fold": _refuse_body("RFC 9112, 5.2 and 7.1.2"),
    "own_trailer_bare_lf": _refuse_body("RFC 9112, 2.2 and 7.1.2"),
    "own_tab_separators": BAD_LINE,
    "own_leading_crlf_2": (*PLAIN, *BAD_LINE),  # RFC 9112, 2.2: at least one
    "own_get_body_next": (Accept("GET", "CL=5", HELLO, b"NEXT"),),
    "own_h2_preface": _refuse("RFC 9112, 2.3: HTTP/2 without having agreed on it", 505, 400),
    "own_head_cut": (Incomplete(),),
    "own_expect_http10_get": (Accept(keep_alive=False),),
    # RFC 9110, 8.6: decimal. Another reader may take 010 for 8: it goes on in its canonical form.
    "own_cl_010": (Accept("POST", "CL=10", HELLO * 2),),
    "own_cl_19_digits": FIVE,
    # CGI (RFC 3875, 4.1.18) gives a field with '_' the name of the one with '-': none of these go on.
    "own_lookalike_te_alone": (Accept("POST"),),
    "own_lookalike_te_chunks": CHUNKED,
    "own_lookalike_cl_beside": FIVE,
    "own_lookalike_xff": PLAIN,
    "own_lookalike_xff_half": PLAIN,
    "own_lookalike_xf_proto_host": PLAIN,
    "own_lookalike_hop": PLAIN,
    "own_lookalike_of_nothing": PLAIN,
    # RFC 9110, 7.8 and 5.6.1: a list, white space around its commas and empty members allowed.
    "own_upgrade_comma": PLAIN,
    "own_upgrade_white_space": (Accept(keep_alive=False),),
    "own_upgrade_two_lines": PLAIN,
    "own_upgrade_unasked": PLAIN,
    # RFC 9113, 3.1: obsolete, and past this proxy. RFC 9110, 7.8: names of protocols in any case.
    "own_upgrade_h2c": PLAIN,
    "own_upgrade_h2c_case": PLAIN,
    "own_upgrade_h2c_version": PLAIN,
    "own_upgrade_h2c_version_case": PLAIN,
    "own_upgrade_h2c_behind": PLAIN,
    "own_upgrade_h2c_before": PLAIN,
    "own_upgrade_like_h2c": PLAIN,
    # One limit for the whole section of trailers, as for a head (RFC 6585, 5), however it is cut.
    "own_trailers_20k": CHUNKED,
    "own_trailers_70k": BIG_TRAILERS,
    "own_trailers_70k_without_end": BIG_TRAILERS,
    "own_trailer_one_field_70k": BIG_TRAILERS,
}

EXPECTED_OF_BACKEND: dict[str, tuple[RequestReading, ...]] = {
    "trace_max_forwards_0": (Accept("TRACE"), *_refuse("RFC 9110, 9.3.8: TRACE is optional", 405, 501)),
}
