"""Operational state in SQL and the event log in Parquet: one repository module per noun."""
