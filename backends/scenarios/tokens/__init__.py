"""The answer that is written token by token, for the scenarios stream and migration."""
