"""HTTP/1.1 framing without sockets: bytes in, heads and content out.

`grammar` holds the expressions of the standard, `request` and `response` read heads, `chunked` reads
chunked bodies. Where RFC 9110 and 9112 leave a choice, the strict side is taken: ambiguous messages are
rejected, since another recipient might read them differently (RFC 9112, section 11.2).
"""
