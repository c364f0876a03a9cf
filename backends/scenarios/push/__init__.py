"""The servers of the scenario push."""
