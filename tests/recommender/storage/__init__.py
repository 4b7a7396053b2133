"""Tests of recommender.storage, each on SQLite and on PostgreSQL."""
