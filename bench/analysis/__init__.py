"""Numbers in, numbers out: statistics, histograms, comparisons, the ceiling. No files, no printing."""
