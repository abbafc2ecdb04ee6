"""WHO receives, and their consent; knows nothing of issues."""
