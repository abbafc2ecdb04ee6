"""What providers tell us: kept as it came, applied in sets, counted once."""
