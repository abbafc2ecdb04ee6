"""The errors of Resend's API by name.

Names and statuses: resend.com/docs/api-reference/errors in its current and older versions; clients must handle both.
"""

from __future__ import annotations

#: (status, name, default message). The first row of a name has its usual status.
REFUSALS: tuple[tuple[int, str, str], ...] = (
    (400, "invalid_idempotency_key", "The key must be between 1-256 chars."),
    (422, "validation_error", "We found an error with one or more fields in the request."),
    (400, "validation_error", "API key is invalid"),
    (403, "validation_error", "The `domain.com` domain is not verified. Please, add and verify your domain."),
    (413, "validation_error", "The request body is too large."),
    (401, "missing_api_key", "Missing API key in the authorization header."),
    (401, "restricted_api_key", "This API key is restricted to only send emails."),
    (403, "invalid_api_key", "API key is invalid."),
    (403, "suspended_api_key", "This API key is suspended."),
    (403, "invalid_permission", "Access token is missing required scopes."),
    (403, "email_above_quota", "You can't retrieve this email's content because it was above quota."),
    (404, "not_found", "The requested endpoint does not exist."),
    (405, "method_not_allowed", "Method is not allowed for the requested path."),
    (
        409,
        "concurrent_idempotent_requests",
        "Same idempotency key used while original request is still in progress.",
    ),
    (409, "invalid_idempotent_request", "Same idempotency key used with a different request payload."),
    (409, "resource_locked", "Another request is already updating this resource."),
    (422, "missing_required_field", "The request body is missing one or more required fields."),
    (422, "missing_required_parameter", "The request is missing one or more required parameters."),
    (422, "invalid_parameter", "The parameter must be a valid UUID."),
    (422, "invalid_attachment", "Attachment must have either a `content` or `path`."),
    (422, "invalid_from_address", "Invalid `from` field."),
    (422, "invalid_access", 'Access must be "full_access" | "sending_access".'),
    (422, "invalid_region", 'Region must be "us-east-1" | "eu-west-1" | "sa-east-1".'),
    (429, "rate_limit_exceeded", "Too many requests. Please limit the number of requests per second."),
    (429, "daily_quota_exceeded", "You have reached your daily email quota."),
    (429, "monthly_quota_exceeded", "You have reached your monthly email quota."),
    (451, "security_error", "We may have found a security issue with the request."),
    (500, "application_error", "An unexpected error occurred."),
    (500, "internal_server_error", "An unexpected error occurred."),
    (503, "service_unavailable", "API is temporarily unavailable."),
)
REFUSAL_NAMES = frozenset(name for _status, name, _message in REFUSALS)


class Refusal(Exception):
    """A call that Resend refuses. `body` is the answer, with exactly Resend's three keys."""

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(f"{status} {name}: {message}")
        self.status = status
        self.name = name
        self.message = message

    @property
    def body(self) -> dict[str, object]:
        """`{"statusCode", "name", "message"}`, as in recorded answers."""
        return {"statusCode": self.status, "name": self.name, "message": self.message}


def refusal(name: str, message: str | None = None, *, status: int | None = None) -> Refusal:
    """The refusal called `name`. Raises KeyError for an unknown name, or one without that status."""
    for known_status, known_name, default_message in REFUSALS:
        if known_name == name and status in (None, known_status):
            return Refusal(known_status, name, message or default_message)
    raise KeyError(f"Resend has no refusal {name!r} with status {status}.")
