"""HTTP/2 with clients (RFC 9113). Framing, HPACK and flow control are those of the library h2.

Imported only where it is asked for (`--http2`). A stream is the client of one exchange; `fields` turns its
request into the head of an HTTP/1.1 request, so that the rules of `proxy.http11` hold for it too.
"""
