"""Why a fetch fails: reason codes, their messages, and the exceptions that carry them."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from newsletter.config.translatable import Translatable, translatable


class FetchReason(enum.StrEnum):
    """Why a fetch fails. Stored in the database: do not change the values."""

    INVALID_ADDRESS = "invalid_address"
    CREDENTIALS = "credentials"
    PRIVATE_HOST = "private_host"
    INVALID_REDIRECT = "invalid_redirect"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    TOO_LARGE = "too_large"
    HOST_NOT_FOUND = "host_not_found"
    UNREACHABLE = "unreachable"
    CERTIFICATE = "certificate"
    TIMEOUT = "timeout"
    INVALID_RESPONSE = "invalid_response"


_MESSAGES: dict[str, Translatable] = {
    FetchReason.INVALID_ADDRESS: translatable(
        "This is not a valid web address: it must start with https:// or http:// and a host name."
    ),
    FetchReason.CREDENTIALS: translatable(
        "The address contains a user name or a password, which are never sent. Remove them."
    ),
    FetchReason.PRIVATE_HOST: translatable(
        "{host} is not on the public internet, so it is not fetched. If it is yours, an operator can add it to "
        "FETCH_ALLOWED_HOSTS."
    ),
    FetchReason.INVALID_REDIRECT: translatable("The server redirects to something that is not an address."),
    FetchReason.TOO_MANY_REDIRECTS: translatable("The server redirects more than {limit} times."),
    FetchReason.TOO_LARGE: translatable("The response of {host} has more than {megabytes} MB, which is too large."),
    FetchReason.HOST_NOT_FOUND: translatable("The host {host} does not exist."),
    FetchReason.UNREACHABLE: translatable("The host {host} cannot be reached."),
    FetchReason.CERTIFICATE: translatable("The certificate of {host} is not valid, or it does not support TLS."),
    FetchReason.TIMEOUT: translatable("{host} did not complete its response within {seconds} seconds."),
    FetchReason.INVALID_RESPONSE: translatable("{host} closed the connection, or its response is not valid."),
}


def fetch_message(reason: str, detail: Mapping[str, Any]) -> str:
    """The sentence for a stored reason. A reason that is no code, as older versions stored, is a sentence itself."""
    message = _MESSAGES.get(reason)
    return reason if message is None else Translatable(message.message, values=dict(detail))


@dataclass(frozen=True, slots=True)
class Hop:
    """A redirect on the way: the requested address, and the HTTP status of its response."""

    url: str
    status: int


class FetchError(Exception):
    """There is no usable response. `detail` holds the values of the message, `hops` the redirects up to here."""

    permanent = False

    def __init__(self, reason: FetchReason, hops: Sequence[Hop] = (), **detail: Any) -> None:
        super().__init__(fetch_message(reason, detail))
        self.reason, self.detail = reason, detail
        self.hops = tuple(hops)

    @property
    def retryable(self) -> bool:
        """Whether the same fetch may succeed later."""
        return not self.permanent


class FetchRefused(FetchError):
    """A guard refused the address, a redirect, or the size of the response."""

    permanent = True


class FetchFailed(FetchError):
    """The network or the server failed."""
