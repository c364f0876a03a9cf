"""The reverse proxy under test: one upstream pool per worker, short or keep-alive. Stands alone."""

__version__ = "0.1.0"
