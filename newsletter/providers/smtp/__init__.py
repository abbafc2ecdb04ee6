"""SMTP: MIME mails, frozen bodies, the session with a mail server, and the provider that puts them together."""

from newsletter.providers.smtp.provider import SmtpProvider, from_settings

__all__ = ["SmtpProvider", "from_settings"]
