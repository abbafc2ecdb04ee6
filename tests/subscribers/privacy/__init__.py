"""Tests of the rights of subscribers."""
