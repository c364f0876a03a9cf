"""What can be seen from outside while a trial runs: sockets, kernel counters, processes. It judges nothing."""
