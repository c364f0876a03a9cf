"""Protocols as servers speak them, and servers made of nothing but a protocol."""
