"""Resend's official SDKs for other languages, pinned, as clients of the sandbox."""
