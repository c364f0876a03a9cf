"""Measure what a running server does with its connections: which it keeps, for how long, how it ends them."""
