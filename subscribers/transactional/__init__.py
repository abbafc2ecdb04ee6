"""Transactional mails: written with what causes them, sent by the worker."""
