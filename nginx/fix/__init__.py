"""Edit a configuration so that each fixable location reuses its upstream connections."""
