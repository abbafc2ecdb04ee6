"""Records that are lists of tags, such as `v=DMARC1; p=none`: DMARC, DKIM, BIMI, MTA-STS and TLS-RPT. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def parse_tags(record: str) -> dict[str, str]:
    """The tags in their order, names in lower case; of a name that comes twice, the first value (RFC 6376 §3.2)."""
    tags: dict[str, str] = {}
    for part in record.split(";"):
        name, equals, value = part.partition("=")
        if equals and name.strip():
            tags.setdefault(name.strip().lower(), value.strip())
    return tags


def with_version(records: Iterable[str], version: str) -> list[str]:
    """The records that begin with `v=` and this version; others under the same name are not meant."""
    return [record for record in records if _begins_with(record, version)]


def _begins_with(record: str, version: str) -> bool:
    name, _equals, value = record.partition(";")[0].partition("=")
    return name.strip() == "v" and value.strip() == version
