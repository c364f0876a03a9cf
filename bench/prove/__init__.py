"""The verdict of `bench check` by traffic: somebody's nginx configuration on a stage of our own.

rewrite.py makes the configuration harmless, requests.py finds requests that reach its locations, stage.py
runs nginx and the backends in a lab, course.py measures, proof.py holds it against what was predicted.
"""
