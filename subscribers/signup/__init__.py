"""Sign-ups: the form, its rules against abuse, and the worker's answer."""
