"""What all servers share: start, control pipes, sockets, workers, connections, counters, drain."""
