"""The servers of the scenario chat."""
