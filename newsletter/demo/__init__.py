"""The demo: the whole system with sample content, on this machine only."""
