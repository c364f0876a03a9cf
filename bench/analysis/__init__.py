"""Numbers in, numbers out: statistics, histograms, the ceiling, comparisons. Only sides.py opens files."""
