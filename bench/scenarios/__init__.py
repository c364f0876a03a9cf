"""The long-connection family: each scenario measures one thing that long connections are used for."""
