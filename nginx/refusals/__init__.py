"""What nginx refuses when it reads a configuration, so that it does not start with it."""
