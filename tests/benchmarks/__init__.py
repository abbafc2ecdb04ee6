"""Measurements, printed as a table by `python -m tests.benchmarks`. They are no tests: nothing fails on a slow day."""
