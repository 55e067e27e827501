"""DNS: find the zone, update it by RFC 2136, check every server for the value. The only importer of dnspython."""
