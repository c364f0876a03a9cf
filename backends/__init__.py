"""The servers behind the proxy: the HTTP backend, and those of proofs and scenarios. Stands alone."""

__version__ = "0.1.0"
