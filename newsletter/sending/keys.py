"""The name under which a provider remembers a post."""

from django.conf import settings

from newsletter.models import Edition


def batch_key(edition: Edition, first: int, last: int, *, epoch: int) -> str:
    """The idempotency key of one freezing of a batch, at most 256 characters (R-103).

    It follows from what is sent and to whom: a database restored from a backup posts the same batch under the same
    key, and the provider recognises it. The epoch rises only where it is known that nothing went out, or where a
    person chose to send again.
    """
    return f"{settings.ENVIRONMENT}:{edition.sha256[:32]}:{first}-{last}:{epoch}"
