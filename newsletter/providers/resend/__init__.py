"""Resend: sending, events, the search in its list of mails, and the health of its key and domains."""
