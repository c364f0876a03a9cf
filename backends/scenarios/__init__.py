"""The servers of the scenarios."""
