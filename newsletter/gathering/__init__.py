"""Stories from elsewhere: follows feeds, reads pages, puts what editors pick into drafts."""
