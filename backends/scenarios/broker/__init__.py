"""The servers of the scenario broker."""
