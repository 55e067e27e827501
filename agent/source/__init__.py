"""Where certificates come from. An offer is public by nature and is never trusted: ``agent.rules.verify`` judges it."""
