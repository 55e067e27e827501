"""From a due row to a stored certificate: order, publish, await, answer, finalize, store, withdraw."""
