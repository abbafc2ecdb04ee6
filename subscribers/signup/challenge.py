"""A proof of work that a rule may ask the browser for: ALTCHA, version 2. Optional: `pip install altcha`.

It costs a browser about a second and no attention. Without the package or without JavaScript, the sign-up is held for
an editor instead.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import json
import logging
import secrets
import time
from typing import Any

from django.conf import settings

from subscribers.models import MailingList

log = logging.getLogger(__name__)

#: In seconds, after which a challenge can no longer be solved. A used one is remembered for longer.
LIFETIME = 20 * 60

#: Hashes that a browser needs, at least and at most: below a second on a desktop, some seconds on an old phone.
MIN_HASHES, MAX_HASHES = 10_000, 50_000

#: In characters: the payload of a challenge of ours has about 800.
MAX_PAYLOAD = 4000


def is_available() -> bool:
    """Whether the package is installed."""
    return importlib.util.find_spec("altcha") is not None


def new_challenge(mailing_list: MailingList) -> str:
    """A challenge for this list’s form, as JSON."""
    import altcha

    challenge = altcha.create_challenge(
        "SHA-256",
        1,
        counter=MIN_HASHES + secrets.randbelow(MAX_HASHES - MIN_HASHES),
        expires_at=int(time.time()) + LIFETIME,
        data={"form": mailing_list.slug},
        hmac_secret=_secret(),
    )
    return json.dumps(challenge.to_dict())


def read_solution(mailing_list: MailingList, payload: str) -> str:
    """What must be used only once, of a right solution for this list’s form: 64 hexadecimal digits; else empty."""
    if not payload or len(payload) > MAX_PAYLOAD or not is_available():
        return ""
    import altcha

    try:
        parsed = altcha.Payload.from_base64(payload)
        # The object itself is always true; `verified` is the answer.
        is_right = altcha.verify_solution(payload, _secret()).verified is True
        parameters = parsed.challenge.parameters
    # A payload is foreign: JSON of any shape.
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        log.info("A solution of a challenge was not understood", extra={"error": type(error).__name__})
        return ""
    is_ours = is_right and parameters.data == {"form": mailing_list.slug} and _is_in_time(parameters.expires_at)
    return hashlib.sha256(f"challenge/{parameters.nonce}".encode()).hexdigest() if is_ours else ""


def _is_in_time(expires_at: Any) -> bool:
    """Whether it ends within the lifetime. A signed challenge without an end, or of a wrong clock, is refused."""
    return isinstance(expires_at, int) and 0 <= expires_at - time.time() <= LIFETIME + 1


def _secret() -> bytes:
    return hmac.digest(settings.SECRET_KEY.encode(), b"subscribers.signup.challenge", hashlib.sha256)
