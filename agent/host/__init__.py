"""What acts on this machine: files, programs, the state folder, keys, signals, sockets."""
