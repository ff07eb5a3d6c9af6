"""Playing with a musician, now: ports, threads and the only real clock."""
