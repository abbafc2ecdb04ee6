"""The public site: home, archive, issue pages, feed, and the webhook endpoint."""
