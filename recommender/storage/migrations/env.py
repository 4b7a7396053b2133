"""Alembic's entry point: runs the revisions on the connection that Database.migrate() hands over."""

from __future__ import annotations

from alembic import context

from recommender.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
