"""The certification authority, spoken to by ACME (RFC 8555). The only importer of acme, josepy and urllib3."""
