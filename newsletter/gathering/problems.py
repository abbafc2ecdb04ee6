"""Why a feed cannot be read: the codes that are stored, and their messages."""

from __future__ import annotations

import enum
import http
from dataclasses import dataclass, field
from typing import Any

from newsletter.config.translatable import from_data, to_data, translatable
from newsletter.content.feeds import FeedError
from newsletter.models import Feed
from newsletter.outbound import FetchError, fetch_message


class FeedProblemCode(enum.StrEnum):
    """Problems of feeds, beside those of FetchReason. Stored in the database: do not change the values."""

    NOT_FOUND = "feed_not_found"
    NEEDS_LOGIN = "feed_needs_login"
    HTTP_ERROR = "http_error"
    INVALID = "invalid_feed"


@dataclass(frozen=True, slots=True)
class FeedProblem:
    """A problem as it is stored: a FeedProblemCode or a FetchReason, and the values of its message."""

    code: str
    detail: dict[str, Any] = field(default_factory=dict)


def problem_of(error: FetchError | FeedError) -> FeedProblem:
    """The problem that an error reports."""
    if isinstance(error, FetchError):
        return FeedProblem(error.reason, error.detail)
    return FeedProblem(FeedProblemCode.INVALID, {"message": to_data(error.args[0])})


def problem_of_status(status: int) -> FeedProblem:
    """The problem that the HTTP status of a response means."""
    if status in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE):
        return FeedProblem(FeedProblemCode.NOT_FOUND, {"status": status})
    if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return FeedProblem(FeedProblemCode.NEEDS_LOGIN, {"status": status})
    return FeedProblem(FeedProblemCode.HTTP_ERROR, {"status": status})


def problem_message(feed: Feed) -> str:
    """The problem of a feed as a sentence; empty if there is none."""
    detail = feed.problem_detail
    match feed.problem:
        case FeedProblemCode.NOT_FOUND:
            return translatable(
                "There is no feed at this address any more (HTTP {status}). Look for the new address on the site.",
                status=detail["status"],
            )
        case FeedProblemCode.NEEDS_LOGIN:
            return translatable("The feed cannot be read without a login (HTTP {status}).", status=detail["status"])
        case FeedProblemCode.HTTP_ERROR:
            return translatable("The server responded with an error (HTTP {status}).", status=detail["status"])
        case FeedProblemCode.INVALID:
            return from_data(detail["message"])
    return fetch_message(feed.problem, detail)
