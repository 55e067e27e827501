"""Where certificates come from. What is offered here is public by nature and is never trusted: see ``agent.verify``."""
