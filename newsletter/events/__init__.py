"""Provider events: stored as they came, applied in sets, counted once."""
