"""Mutants: removes each guard of a promise in turn, and demands that a test fails. `make test-mutants` runs it."""
