"""A flood of provider events at a running installation, and an independent count of what they say."""
