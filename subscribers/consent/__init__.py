"""Consent: what subscribers do with their subscriptions, and the signed links by which they do it."""
