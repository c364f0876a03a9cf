"""HTTP/1.1 framing without sockets: bytes in, heads and content out.

`grammar` has the words of the standard, `request` and `response` read heads, `chunked` reads bodies in the
chunked coding. Where RFC 9110 and 9112 leave a choice, the strict side is taken: what is ambiguous is
refused, since another recipient might read it differently (RFC 9112, section 11.2).
"""
