"""Look-ups: the zone that holds a name, its servers, its addresses, its CAA records."""
