"""Measurements of speed and memory: `python -m tests.benchmarks`, or `make bench`. Never run as timed tests."""
