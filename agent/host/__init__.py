"""The adapters that act on this machine: files, programs, the state folder, keys, signals, sockets."""
