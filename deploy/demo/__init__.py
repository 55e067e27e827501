"""`make demo`: the whole path with the real commands and real servers, on loopback, in a folder that goes away.

Read `story.py` first: it is the list of steps. `stage.py` has the servers, `machine.py` runs commands as they would be
typed, `proofs.py` looks at what came of it.
"""
