"""The load generator: worker processes that send requests, check each response and time it.

Import rooms by name (`from bench.load import wire`). This file stays empty of imports: a worker's
start counts as load on the machine that is being measured.
"""
