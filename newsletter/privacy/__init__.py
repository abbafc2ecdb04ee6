"""The rights of subscribers, where issues are concerned: deliveries, batches and events in exports and erasures."""
