"""Google's token endpoint and Postmaster Tools API v2: plain HTTPS calls to fixed hosts, without a client library.

The token URL inside a service account's key is not used: requests go to Google's hosts only. No error and no log line
holds a credential, a token or the text of an answer that could contain one.

Sources: Google Identity docs, “Using OAuth 2.0 for server to server applications” and “Refreshing an access token”;
Postmaster Tools API v2, `domains.domainStats.query` and `domains.getComplianceStatus`.
"""

from __future__ import annotations

import base64
import enum
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import urllib3

from newsletter.config.translatable import Translatable, translatable

#: Reads statistics and compliance. Source: the reference of `domains.getComplianceStatus`.
SCOPE = "https://www.googleapis.com/auth/postmaster.traffic.readonly"

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"

#: Seconds for which a signed assertion is valid; Google accepts an hour at most.
ASSERTION_LIFETIME = 600

TIMEOUT = urllib3.Timeout(connect=5, read=20)

#: Far above any answer: a month of seven metrics has 30 KB.
MAX_BYTES = 2_000_000


class GoogleReason(enum.StrEnum):
    """Why an answer cannot be used. Stored in the database: do not change the values."""

    NO_PACKAGE = "no_package"
    INVALID_KEY = "invalid_key"
    CREDENTIALS_REFUSED = "credentials_refused"
    NOT_ALLOWED = "not_allowed"
    NOT_REGISTERED = "not_registered"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    NO_ANSWER = "no_answer"
    INVALID_ANSWER = "invalid_answer"
    REQUEST_REFUSED = "request_refused"


_MESSAGES: dict[str, Translatable] = {
    GoogleReason.NO_PACKAGE: translatable(
        "The key of a service account is set, but the package cryptography is not installed. Install it with pip "
        "install 'newsletter[deliverability]', or use a refresh token."
    ),
    GoogleReason.INVALID_KEY: translatable(
        "The private key in POSTMASTER_CREDENTIALS cannot be read. Download the key of the service account again."
    ),
    GoogleReason.CREDENTIALS_REFUSED: translatable(
        "Google refuses the credentials. Create new ones and set POSTMASTER_CREDENTIALS."
    ),
    GoogleReason.NOT_ALLOWED: translatable(
        "Google does not allow this account to read the domain. Add the account as a user of the domain in Postmaster "
        "Tools, and enable the Gmail Postmaster Tools API in its project."
    ),
    GoogleReason.NOT_REGISTERED: translatable(
        "Postmaster Tools do not know the domain. Add and verify it at postmaster.google.com."
    ),
    GoogleReason.RATE_LIMITED: translatable("Google answers only a limited number of requests. It is tried again."),
    GoogleReason.UNAVAILABLE: translatable("Postmaster Tools are not available now. It is tried again."),
    GoogleReason.NO_ANSWER: translatable("Google’s servers cannot be reached. It is tried again."),
    GoogleReason.INVALID_ANSWER: translatable("The answer of Postmaster Tools has an unknown form. It is tried again."),
    GoogleReason.REQUEST_REFUSED: translatable(
        "Postmaster Tools refuse the request. Update this software: their API may have changed."
    ),
}

_OF_STATUS = {
    401: GoogleReason.CREDENTIALS_REFUSED,
    403: GoogleReason.NOT_ALLOWED,
    404: GoogleReason.NOT_REGISTERED,
    429: GoogleReason.RATE_LIMITED,
}

#: Those that end only when an operator does something.
_PERMANENT = frozenset(
    {
        GoogleReason.NO_PACKAGE,
        GoogleReason.INVALID_KEY,
        GoogleReason.CREDENTIALS_REFUSED,
        GoogleReason.NOT_ALLOWED,
        GoogleReason.NOT_REGISTERED,
        GoogleReason.REQUEST_REFUSED,
    }
)


def google_message(code: str) -> str:
    """The sentence for a stored reason."""
    return _MESSAGES.get(code, Translatable(code.replace("_", " ")))


class GoogleError(Exception):
    """There is no usable answer. `detail` has the HTTP status or the name of the error, never words of the answer."""

    def __init__(self, reason: GoogleReason, detail: str = "", *, retry_after: float = 0.0) -> None:
        super().__init__(google_message(reason))
        self.reason, self.detail, self.retry_after = reason, detail, retry_after

    @property
    def permanent(self) -> bool:
        """Whether it ends only when an operator does something."""
        return self.reason in _PERMANENT

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later by itself."""
        return not self.permanent


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleHosts:
    """Where requests go. Tests use a server of this machine."""

    token_url: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
    api_url: str = "https://gmailpostmastertools.googleapis.com"


GOOGLE = GoogleHosts()


class PostmasterTools:
    """The API for one account. It signs in at the first request."""

    def __init__(self, credentials: str, *, now: float, hosts: GoogleHosts = GOOGLE) -> None:
        """`credentials` is the JSON of the setting; `now` is Unix time, for the assertion."""
        self._credentials: Mapping[str, str] = json.loads(credentials)
        self._now, self._hosts, self._token = now, hosts, ""

    def compliance(self, domain: str) -> dict[str, Any]:
        """`getComplianceStatus` of a domain, as Google sends it. Raises GoogleError."""
        return self._call("GET", f"/v2/domains/{quote(domain, safe='')}/complianceStatus", None)

    def query(self, domain: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """One page of `domainStats:query`, as Google sends it. Raises GoogleError."""
        content = {"parent": f"domains/{domain}", **body}
        return self._call("POST", f"/v2/domains/{quote(domain, safe='')}/domainStats:query", content)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        self._token = self._token or self._sign_in()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        data = orjson.dumps(body) if body is not None else None
        return _request(method, f"{self._hosts.api_url}{path}", headers, data)

    def _sign_in(self) -> str:
        if "refresh_token" in self._credentials:
            names = ("client_id", "client_secret", "refresh_token")
            form = {"grant_type": "refresh_token"} | {name: self._credentials[name] for name in names}
        else:
            form = {"grant_type": GRANT, "assertion": self._assertion()}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            answer = _request("POST", self._hosts.token_url, headers, urlencode(form).encode())
        except GoogleError as error:
            # RFC 6749 §5.2: invalid_grant and invalid_client are answered with 400 or 401.
            if error.reason is GoogleReason.REQUEST_REFUSED:
                raise GoogleError(GoogleReason.CREDENTIALS_REFUSED, error.detail) from error
            raise
        token = answer.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise GoogleError(GoogleReason.INVALID_ANSWER)
        return token

    def _assertion(self) -> str:
        """A JWT that is signed with the account's key (RFC 7523 §3, RS256)."""
        claims = {
            "iss": self._credentials["client_email"],
            "scope": SCOPE,
            "aud": self._hosts.token_url,
            "iat": int(self._now),
            "exp": int(self._now) + ASSERTION_LIFETIME,
        }
        signed = f"{_base64({'alg': 'RS256', 'typ': 'JWT'})}.{_base64(claims)}"
        signature = _rs256(self._credentials["private_key"], signed.encode())
        return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _base64(content: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(content)).rstrip(b"=").decode()


def _rs256(private_key: str, message: bytes) -> bytes:
    try:
        hashes = importlib.import_module("cryptography.hazmat.primitives.hashes")
        padding = importlib.import_module("cryptography.hazmat.primitives.asymmetric.padding")
        serialization = importlib.import_module("cryptography.hazmat.primitives.serialization")
    except ImportError as error:
        raise GoogleError(GoogleReason.NO_PACKAGE) from error
    try:
        key = serialization.load_pem_private_key(private_key.encode(), password=None)
        signature: bytes = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    except Exception as error:
        # The library has errors of its own, and one key of another kind has another method. Their texts stay out.
        raise GoogleError(GoogleReason.INVALID_KEY, type(error).__name__) from None
    return signature


def _request(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> dict[str, Any]:
    try:
        response = urllib3.request(
            method,
            url,
            headers={"Accept": "application/json", "User-Agent": "newsletter-postmaster", **headers},
            body=body,
            timeout=TIMEOUT,
            retries=False,
            redirect=False,
            preload_content=False,
        )
        data = response.read(MAX_BYTES + 1)
        response.release_conn()
    except urllib3.exceptions.HTTPError as error:
        raise GoogleError(GoogleReason.NO_ANSWER, type(error).__name__) from None
    if response.status != 200:
        raise _error_of(response.status, response.headers.get("Retry-After", ""))
    try:
        content = orjson.loads(data) if len(data) <= MAX_BYTES else None
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        raise GoogleError(GoogleReason.INVALID_ANSWER)
    return content


def _error_of(status: int, retry_after: str) -> GoogleError:
    fallback = GoogleReason.UNAVAILABLE if status >= 500 else GoogleReason.REQUEST_REFUSED
    reason = GoogleReason.INVALID_ANSWER if status < 400 else _OF_STATUS.get(status, fallback)
    seconds = float(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 6 else 0.0
    return GoogleError(reason, str(status), retry_after=seconds)
