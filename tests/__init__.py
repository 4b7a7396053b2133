"""The test suite: mirrors the packages, with flows/ end to end and benchmarks/ to measure."""
