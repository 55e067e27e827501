"""The adapters that act on another machine, over SSH: files, programs, keys."""
