"""What an nginx configuration really does with its upstream connections. Stands alone."""
