"""DNS: find the zone, write it by RFC 2136, see the value on every server. The only importer of dnspython."""
