"""Writing: RFC 2136 UPDATE signed with TSIG, what its refusals mean, and the zone as text to paste."""
