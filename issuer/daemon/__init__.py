"""`run` for ever: loop.py is the whole of it, the rest is what it needs beside the orders, one idea a file."""
