"""A brand that is not saved, as a signed text: the preview of a web page gets it in its URL."""

from __future__ import annotations

import datetime

from django.core import signing

from newsletter.models.brand import Brand
from newsletter.models.newsletter import Newsletter

#: How long such a URL works.
MAX_AGE = datetime.timedelta(minutes=10)

_SALT = "newsletter.unsaved_brand"
_OF_NEWSLETTER = ("theme", "logo_url", "logo_width", "postal_address")
_OF_BRAND = tuple(field.name for field in Brand._meta.fields if not field.primary_key)


def pack_brand(newsletter: Newsletter) -> str:
    """The brand of the instance, with the columns of the newsletter that belong to it."""
    brand = Brand.of(newsletter)
    values = [newsletter.pk, {name: getattr(newsletter, name) for name in _OF_NEWSLETTER}]
    return signing.dumps([*values, {name: getattr(brand, name) for name in _OF_BRAND}], salt=_SALT, compress=True)


def unpack_brand(newsletter: Newsletter, packed: str) -> bool:
    """Give the instance the packed values, unsaved. False for a text that is forged, old or of another newsletter."""
    try:
        key, columns, values = signing.loads(packed, salt=_SALT, max_age=MAX_AGE)
    except signing.BadSignature:
        return False
    if key != newsletter.pk:
        return False
    for name, value in columns.items():
        setattr(newsletter, name, value)
    newsletter.brand = Brand(newsletter=newsletter, **values)
    return True
