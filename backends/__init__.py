"""The servers behind the proxy: a raw, fast one, and an aiohttp application. Stands alone."""

__version__ = "0.1.0"
