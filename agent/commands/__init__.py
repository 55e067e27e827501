"""The commands of certfleet-agent, loaded one at a time so that each pays only for the libraries it needs."""
