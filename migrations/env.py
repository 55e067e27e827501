"""Alembic's entry point: runs the revisions on the connection that the issuer hands over, and makes what accounts of
agents use anew."""

from alembic import context

from migrations.agents import make_anew

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=None, transactional_ddl=connection.dialect.name == "sqlite")
with context.begin_transaction():
    context.run_migrations()
    make_anew(connection)
