"""The commands of certfleet-issuer, loaded one at a time so that each pays only for the libraries it needs."""
