"""Odd HTTP/1.1 messages as bytes, what five proxies did with them, and how we read them."""
