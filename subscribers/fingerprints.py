"""The keyed hash under which an address that must not be mailed is remembered.

A plain hash of an address can be guessed by trying; a keyed one cannot (R-48).
"""

import hashlib
import hmac

from django.conf import settings


def fingerprint(canonical: str) -> str:
    """HMAC-SHA256 of a canonical address under SUPPRESSION_SECRET, as 64 hexadecimal digits."""
    secret: str = settings.SUPPRESSION_SECRET
    return hmac.digest(secret.encode(), canonical.encode(), hashlib.sha256).hex()
