"""Export of subscribers: a list, a segment or a selection as CSV or JSON Lines, in a stream."""
