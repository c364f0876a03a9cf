"""The load generator: worker processes that send requests, check each response and time it.

Import modules by name (`from bench.load import http11`). This file imports nothing: a worker's start
counts as load on the machine that is measured.
"""
