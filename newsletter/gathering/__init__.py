"""Stories from other sources: polls feeds, reads web pages, adds what editors pick to drafts."""
