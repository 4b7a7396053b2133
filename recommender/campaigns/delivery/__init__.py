"""Transports: ways out for messages, one file each."""
