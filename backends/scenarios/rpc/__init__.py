"""The servers of the scenario rpc."""
