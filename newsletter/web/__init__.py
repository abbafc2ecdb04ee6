"""What the public web sees of issues: archive, feed, and the webhook."""
