"""One look at one socket: which certificate a service shows, over TLS from the first byte or after STARTTLS.

Nothing is verified here on purpose. The question is which certificate is shown; others compare it with what is wanted.
"""
