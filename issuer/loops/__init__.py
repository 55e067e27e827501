"""When something is tried and how many at once: the run, the daemon, and the crew of threads that both use."""
