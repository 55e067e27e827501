"""The client of a certification authority, by ACME (RFC 8555). The only importer of acme, josepy and urllib3."""
