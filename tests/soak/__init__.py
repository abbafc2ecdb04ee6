"""The soak: issues are sent for half an hour while workers are killed and calls fail. `make soak` runs it."""
