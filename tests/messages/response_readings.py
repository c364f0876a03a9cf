"""How a proxy or a client is to read each odd response: the strict reading first, then what is right too.

The load generator may differ from a proxy in the second table alone.
"""

from tests.messages.model import Answer, Incomplete, Refuse, ResponseReading

FIVE = (Answer(),)
ONCE = (Answer(reusable=False),)
CHUNKED = (Answer(framing="chunked"),)
EMPTY = (Answer(framing="none", body=b""),)
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Poison: 1\r\n\r\nPOISON"
HALF = (Incomplete("CL=100", b"x" * 50),)


def _refuse(clause: str) -> tuple[Refuse]:
    return (Refuse((502,), clause),)


CODING = _refuse("RFC 9112, 6.1 and 6.3: Transfer-Encoding is exactly `chunked` or refused")
BAD_LENGTH = _refuse("RFC 9112, 6.3, item 5: not a valid Content-Length")
BAD_STATUS = _refuse("RFC 9112, 4: malformed status line")
BAD_FIELD = _refuse("RFC 9112, 5: malformed field line")
BARE_LF = _refuse("RFC 9112, 2.2: a bare LF may be taken for a line's end; we do not")
BAD_CHUNK = (Refuse((502,), "RFC 9112, 7.1: malformed chunk", in_body=True),)
BIG_HEAD = Refuse((502,), "more than the reader takes")
BIG_TRAILERS = (Refuse((502,), "RFC 9112, 7.1.2: longer than the reader takes", in_body=True),)
OUT_OF_RANGE = _refuse("RFC 9110, 15: a status outside of 100 to 599 is invalid")

EXPECTED: dict[str, tuple[ResponseReading, ...]] = {
    "control_cl": FIVE,
    "control_chunked": CHUNKED,
    "control_conn_close_cl": ONCE,
    "control_head_cl": EMPTY,
    "control_head_chunked": EMPTY,
    "control_304_cl": (Answer(304, "none", b""),),
    # Ends and lengths.
    "no_length_left_open": (Answer(framing="until-close", reusable=False),),
    "conn_close_cl_left_open": ONCE,
    "http10_keepalive_cl": FIVE,
    "http10_cl_left_open": ONCE,
    "http10_chunked": (
        *_refuse("RFC 9112, 6.1: Transfer-Encoding in HTTP/1.0 is faulty framing"),
        Answer(framing="chunked", reusable=False),
    ),
    # Framing fields.
    "te_cl_bigger": _refuse("RFC 9112, 6.3, item 3: ought to be handled as an error"),
    "te_gzip_chunked": CODING,
    "te_identity": CODING,
    "te_chunked_twice": CODING,
    "te_two_lines": CODING,
    "te_tab": CHUNKED,
    "cl_two_equal": BAD_LENGTH,  # RFC 9110, 8.6, lets us merge or refuse
    "cl_two_different": BAD_LENGTH,
    "cl_list_equal": BAD_LENGTH,
    "cl_plus": BAD_LENGTH,
    "cl_negative": BAD_LENGTH,
    "cl_huge": BAD_LENGTH,
    "cl_empty": BAD_LENGTH,
    # Chunks.
    "chunk_bad_size_first": BAD_CHUNK,
    "chunk_bad_size_second": BAD_CHUNK,
    "chunk_overflow": BAD_CHUNK,
    "chunk_missing_crlf": BAD_CHUNK,
    "chunk_too_long_data": BAD_CHUNK,
    "chunk_ext": CHUNKED,
    "chunk_trailer": CHUNKED,
    "chunk_trailer_bad": BAD_CHUNK,
    # Cut.
    "early_close_cl": HALF,
    "early_close_cl_late": HALF,
    "early_close_chunked": (Incomplete("chunked", b"hello"),),
    "early_reset_cl": HALF,
    "early_reset_chunked": (Incomplete("chunked", b"hello"),),
    "early_reset_close_delimited": (Incomplete("until-close", b"hello"),),  # RFC 9112, 8
    "reset_in_head": (Incomplete(),),
    "close_before_head": (Incomplete(),),
    "reset_before_head": (Incomplete(),),
    "silence_in_head": (Incomplete(),),
    "silence_in_body": HALF,
    "close_before_head_POST": (Incomplete(),),
    "reset_before_head_POST": (Incomplete(),),
    "reset_before_head_PUT": (Incomplete(),),
    "close_in_head_POST": (Incomplete(),),
    "reset_in_head_POST": (Incomplete(),),
    "reset_in_head_PUT": (Incomplete(),),
    # Bytes that nobody asked for: read before or after the next request is sent, they must never answer it.
    "extra_garbage": (Answer(reusable=False, trailing=b"GARBAGE"),),
    "extra_response_same_segment": (Answer(reusable=False, trailing=POISON),),
    "extra_response_5ms": (Answer(reusable=False, trailing=POISON),),
    "extra_response_50ms": (Answer(reusable=False, trailing=POISON),),
    "extra_408_then_close": (
        Answer(
            reusable=False,
            trailing=b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
    ),
    "head_with_body": (Answer(framing="none", body=b"", reusable=False, trailing=b"hello"),),
    "head_with_response_as_body": (Answer(framing="none", body=b"", reusable=False, trailing=POISON),),
    "s204_chunked": (
        Answer(204, "none", b"", reusable=False, trailing=b"5\r\nhello\r\n0\r\n\r\n"),
        *_refuse("RFC 9112, 6.1: no Transfer-Encoding with 204"),
    ),
    "s204_response_as_body": (
        Answer(204, "none", b"", reusable=False, trailing=POISON),
        *_refuse("RFC 9110, 8.6: no Content-Length with 204"),
    ),
    "s304_cl_body": (Answer(304, "none", b"", reusable=False, trailing=b"hello"),),
    # RFC 9110, 15.3.6: 205 has no content, but RFC 9112, 6.3, frames it like any other.
    "s205_body": (Answer(205), *_refuse("RFC 9110, 15.3.6")),
    # Interim responses.
    "s100_then_200": (Answer(interim=(100,)),),
    "s102_then_200": (Answer(interim=(102,)),),
    "s100_x20": (Answer(interim=(100,) * 20), *_refuse("more interim responses than the reader takes")),
    "s199_then_200": (Answer(interim=(199,)),),  # RFC 9110, 15.2: unknown 1xx are read and passed over
    "s100_cl_body": BAD_STATUS,  # RFC 9112, 6.3, item 1: a 1xx has no body, so `hello` begins the next line
    "s101_unexpected_no_upgrade": _refuse("RFC 9110, 7.8: a switch that nobody asked for"),
    "s100_only_then_close": (Incomplete(),),
    "s101_wrong_protocol": _refuse("RFC 9110, 7.8: a switch to a protocol that nobody asked for"),
    # Heads.
    "nul_in_name": BAD_FIELD,
    "ctl_01_in_value": _refuse("RFC 9110, 5.5: a control character in a field value"),
    "obs_fold": _refuse("RFC 9112, 5.2: obs-fold, refused rather than unfolded"),
    "bare_lf_one_line": BARE_LF,
    "bare_lf_everywhere": BARE_LF,
    "space_before_colon": (*BAD_FIELD, *FIVE),  # RFC 9112, 5.1: a proxy may also remove the white space
    "no_colon": BAD_FIELD,
    "bracket_in_name": BAD_FIELD,
    "latin1_value": FIVE,
    "header_5k": FIVE,
    "header_9k": (*FIVE, BIG_HEAD),
    "header_20k": (*FIVE, BIG_HEAD),
    "headers_150": (*FIVE, BIG_HEAD),
    "headers_1000": (BIG_HEAD, *FIVE),
    "conn_x_foo": FIVE,
    "proxy_connection_close": (*FIVE, *ONCE),  # no field of HTTP/1.1
    "two_set_cookie": FIVE,
    # Status lines.
    "no_reason": (*_refuse("RFC 9112, 4: the space before the reason is not optional"), *FIVE),
    "status_099": BAD_STATUS,
    "status_600": (*OUT_OF_RANGE, Answer(600)),
    "status_999": (*OUT_OF_RANGE, Answer(999)),
    "status_20": BAD_STATUS,
    "status_abc": BAD_STATUS,
    "status_minus": BAD_STATUS,
    "http_2_0": BAD_STATUS,
    "http_lower": BAD_STATUS,
    "icy": BAD_STATUS,
    "reason_latin1": FIVE,
    "leading_crlf": _refuse("RFC 9112, 2.2: empty lines are ignored before requests, not before responses"),
    "http09_body": BAD_STATUS,
    # Answers to an upload that is still under way: reusable only once the request has gone out whole.
    "early_413_lingering": (Answer(413, reusable=False),),
    "early_200_keepalive_no_read": (*FIVE, *ONCE),
    # Messages of our own: the same faults in other spellings.
    "own_te_case": CHUNKED,
    "own_cl_leading_zero": FIVE,
    # RFC 9112, 5.1, has a proxy remove the white space; in a field that frames, refusing is the safe side.
    "own_cl_space_before_colon": (*BAD_FIELD, *FIVE),
    "own_te_space_before_colon": BAD_FIELD,
    "own_te_parameter": CODING,
    "own_fold_first": BAD_FIELD,
    "own_close_list": ONCE,
    "own_http10_close_and_keep_alive": ONCE,
    "own_until_close": (Answer(framing="until-close", reusable=False),),
    "own_empty_reason": FIVE,
    "own_head_te_and_cl": (
        *_refuse("RFC 9112, 6.1: both fields are a fault, body or not"),
        Answer(framing="none", body=b""),
        Answer(framing="none", body=b"", reusable=False),
    ),
    "own_204": (Answer(204, "none", b""),),
    "own_304": (Answer(304, "none", b""),),
    "own_zero_length": (Answer(framing="none", body=b""), Answer(framing="CL=0", body=b"")),
    "own_chunk_bare_lf": BAD_CHUNK,
    "own_del_in_value": _refuse("RFC 9110, 5.5: a control character in a field value"),
    "own_two_spaces_before_status": BAD_STATUS,
    "own_cl_list_different": BAD_LENGTH,
    "own_ctl_in_reason": BAD_STATUS,
    # RFC 9110, 2.5: a higher minor version is read as the highest one known.
    "own_http_1_2": FIVE,
    "own_http_1_9_chunked": CHUNKED,
    "own_http_1_10": BAD_STATUS,
    "own_http_1_02": BAD_STATUS,
    # One limit for the whole section of trailers, as for a head, however it is cut.
    "own_trailers_20k": CHUNKED,
    "own_trailers_70k": BIG_TRAILERS,
    "own_trailer_one_field_70k": BIG_TRAILERS,
    "own_cl_010": (Answer(framing="CL=10", body=b"hellohello"),),
    "own_lookalike_cl": FIVE,  # other fields, of no meaning here
}

EXPECTED_OF_LOAD: dict[str, tuple[ResponseReading, ...]] = {
    # A harness that measures HTTP/1.1 may insist on it: nobody whom it measures writes another version.
    "own_http_1_2": (*FIVE, *BAD_STATUS),
    "own_http_1_9_chunked": (*CHUNKED, *BAD_STATUS),
}
