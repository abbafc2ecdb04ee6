"""Outgoing webhooks: tells other systems of subscriptions and sends, after Standard Webhooks."""
