"""The servers of the scenario registry."""
