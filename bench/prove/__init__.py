"""Prove the verdicts of `bench check` by traffic: run a harmless copy of a configuration in a testbed.

rewrite.py makes the configuration harmless, requests.py finds requests that reach its locations, testbed.py
runs nginx and the backends in a lab, runner.py measures, proof.py compares with what was predicted.
"""
