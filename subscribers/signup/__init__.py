"""Sign-ups: the form, its rules against abuse, and their processing by the worker."""
