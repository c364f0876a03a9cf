"""Client roles that drive a real product's own client; each runs in that product's environment.

They import nothing of ours but bench/scenarios/client/process.py: the rest of our packages is not there.
"""
