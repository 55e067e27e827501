"""The database: certificates, orders, the challenge journal. The only importer of SQLAlchemy, Alembic and PyMySQL."""
