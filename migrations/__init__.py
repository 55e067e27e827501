"""Alembic revisions. Each is safe to run again, because MySQL commits DDL statement by statement."""
