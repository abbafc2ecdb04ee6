"""What is known about a subscriber: values of custom fields, tags, and the history of their changes."""
