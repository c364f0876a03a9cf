"""What can be seen from outside while a trial runs: sockets, counters, processes. It judges nothing."""
