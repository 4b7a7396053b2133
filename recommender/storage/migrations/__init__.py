"""Alembic migrations, run by Database.migrate(); versions/ holds one file per revision."""
