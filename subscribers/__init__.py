"""Subscribers and their consent. Knows nothing of issues."""
