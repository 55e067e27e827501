"""RFC 2136 UPDATE signed with TSIG, the errors of its refusals, and the zone as text to paste."""
