"""The rights of subscribers: a copy of what is stored, erasure, evidence of consent, and how long data is kept."""
