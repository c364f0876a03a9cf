"""The reverse proxy under test: one upstream pool per worker. It imports no other package of the project."""

__version__ = "0.1.0"
