"""The parts side by side with what others use for the same: `make perf`.

Measures and prints; the correctness of the parts is the business of the other tests.
"""
