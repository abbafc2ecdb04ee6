"""Opens and clicks."""
