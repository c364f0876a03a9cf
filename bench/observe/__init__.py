"""What a trial shows from outside: sockets, kernel counters, CPU and memory of processes. Judges nothing."""
