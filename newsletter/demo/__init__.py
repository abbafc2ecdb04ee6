"""The demo: the whole system at work with sample content, on this machine only."""
