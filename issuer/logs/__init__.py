"""The logs of our own web and name servers. Reads their ends, and never writes."""
