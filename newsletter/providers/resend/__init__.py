"""Resend: sending, webhook events, reading its list of mails, and checking its key and domains."""

from newsletter.providers.resend.provider import ResendProvider, from_settings

__all__ = ["ResendProvider", "from_settings"]
