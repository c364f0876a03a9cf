"""Runs on several machines, which Dask places: the same plans, with a role on each."""
