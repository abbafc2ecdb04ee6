"""The rights of a person, where issues are concerned: deliveries, batches and events in exports and erasures."""
