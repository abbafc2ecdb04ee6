"""Finding subscribers and keeping what is known about them: search, selections, timeline, edits, bulk actions."""
