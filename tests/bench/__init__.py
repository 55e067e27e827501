"""`make bench`: certfleet beside certbot, lego, dehydrated and uacme, on one BIND and one Pebble, in one run.

What counts is the ratio: a peer's run and a run of certfleet follow each other directly, so that both meet the same
machine. `python -m tests.bench` starts everything privately and leaves nothing behind.
"""
