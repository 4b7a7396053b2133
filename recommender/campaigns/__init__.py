"""Campaigns: whom they reach, who is kept back, what is delivered, and what it changed."""
