"""Reads the XML of a DMARC aggregate report into values: of RFC 9990 and of the older RFC 7489, Appendix C. Pure."""

from __future__ import annotations

import codecs
import datetime
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree  # type: ignore[import-untyped]

from newsletter.deliverability.dmarc_errors import DmarcError

MAX_ROWS = 50_000

#: The most mails of one row: far above any list, and within the column.
MAX_COUNT = 1_000_000_000

#: Reports are about a day, a few about a week.
MAX_SPAN = datetime.timedelta(days=32)

#: DMARC is younger than this; clocks of others may be ahead by that.
EARLIEST, TOLERANCE = datetime.datetime(2012, 1, 1, tzinfo=datetime.UTC), datetime.timedelta(days=2)

DISPOSITIONS = frozenset({"none", "pass", "quarantine", "reject"})
POLICY_TAGS = ("p", "sp", "np", "adkim", "aspf", "pct", "t", "testing", "discovery_method")

_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_DECLARATIONS = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Mails from one address with the same results."""

    source_ip: str
    count: int
    disposition: str
    spf_aligned: bool
    dkim_aligned: bool
    header_from: str
    spf_domain: str = ""
    dkim_domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One aggregate report."""

    organization: str
    report_id: str
    domain: str
    begins_at: datetime.datetime
    ends_at: datetime.datetime
    policy: dict[str, str]
    rows: tuple[Row, ...]


def parse_report(text: bytes, now: datetime.datetime) -> Report:
    """The report in an XML text. Raises DmarcError.

    Entities are never expanded and nothing is fetched: a text that declares any is refused, before it is parsed and
    after, since an encoding may hide the declaration.
    """
    root = _root_of(text)
    metadata, policy = _child(root, "report_metadata"), _child(root, "policy_published")
    begins_at, ends_at = _span(_child(metadata, "date_range"), now)
    return Report(
        organization=_text(metadata, "org_name", 255),
        report_id=_text(metadata, "report_id", 255),
        domain=_domain(policy, "domain"),
        begins_at=begins_at,
        ends_at=ends_at,
        policy={tag: value for tag in POLICY_TAGS if (value := _optional(policy, tag, 32))},
        rows=tuple(_rows(root)),
    )


def _root_of(text: bytes) -> etree._Element:
    if _DECLARATIONS.search(text):
        raise DmarcError("declarations")
    # UTF-16, which would hide declarations; no provider uses it.
    if b"\x00" in text:
        raise DmarcError("invalid_xml")
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(text.removeprefix(codecs.BOM_UTF8).strip(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise DmarcError("invalid_xml") from error
    if root.getroottree().docinfo.doctype:
        raise DmarcError("declarations")
    if etree.QName(root).localname != "feedback":
        raise DmarcError("not_dmarc")
    return root


def _rows(root: etree._Element) -> Iterator[Row]:
    records = root.findall("{*}record")
    if len(records) > MAX_ROWS:
        raise DmarcError("too_many_rows", limit=MAX_ROWS)
    for record in records:
        row, identifiers = _child(record, "row"), _child(record, "identifiers")
        evaluated, results = _child(row, "policy_evaluated"), record.find("{*}auth_results")
        count = _number(row, "count", MAX_COUNT)
        if count == 0:
            continue
        yield Row(
            source_ip=_ip_address(row),
            count=count,
            disposition=_disposition(evaluated),
            spf_aligned=_has_passed(evaluated, "spf"),
            dkim_aligned=_has_passed(evaluated, "dkim"),
            header_from=_domain(identifiers, "header_from"),
            spf_domain=next(_passed_domains(results, "spf"), ""),
            dkim_domains=tuple(dict.fromkeys(_passed_domains(results, "dkim"))),
        )


def _child(parent: etree._Element, name: str) -> etree._Element:
    found = parent.find(f"{{*}}{name}")
    if found is None:
        raise DmarcError("missing", name=name)
    return found


def _optional(parent: etree._Element, name: str, limit: int) -> str:
    found = parent.find(f"{{*}}{name}")
    words = " ".join("".join(found.itertext()).split()) if found is not None else ""
    return "".join(character for character in words if character.isprintable())[:limit]


def _text(parent: etree._Element, name: str, limit: int) -> str:
    value = _optional(parent, name, limit + 1)
    if not value:
        raise DmarcError("missing", name=name)
    if len(value) > limit:
        raise DmarcError("invalid", name=name, value=f"{value[:60]}…")
    return value


def _number(parent: etree._Element, name: str, limit: int) -> int:
    value = _text(parent, name, 20)
    if not value.isascii() or not value.isdigit() or int(value) > limit:
        raise DmarcError("invalid", name=name, value=value)
    return int(value)


def _domain(parent: etree._Element, name: str) -> str:
    value = _text(parent, name, 254).lower()
    if not value.isascii():
        try:
            value = value.encode("idna").decode("ascii")
        except UnicodeError:
            raise DmarcError("invalid", name=name, value=value[:60]) from None
    if not _DOMAIN.fullmatch(value):
        raise DmarcError("invalid", name=name, value=value[:60])
    return value.rstrip(".")


def _ip_address(row: etree._Element) -> str:
    value = _text(row, "source_ip", 64)
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise DmarcError("invalid", name="source_ip", value=value) from None


def _disposition(evaluated: etree._Element) -> str:
    value = _text(evaluated, "disposition", 16).lower()
    if value not in DISPOSITIONS:
        raise DmarcError("invalid", name="disposition", value=value)
    return value


def _has_passed(evaluated: etree._Element, name: str) -> bool:
    return _optional(evaluated, name, 16).lower() == "pass"


def _passed_domains(results: etree._Element | None, name: str) -> Iterator[str]:
    """Domains that were authenticated, aligned or not. One that is no domain is left out: receivers copy them."""
    for result in results.findall(f"{{*}}{name}") if results is not None else ():
        domain = _optional(result, "domain", 253).lower().rstrip(".")
        if _optional(result, "result", 16).lower() == "pass" and _DOMAIN.fullmatch(domain):
            yield domain


def _span(date_range: etree._Element, now: datetime.datetime) -> tuple[datetime.datetime, datetime.datetime]:
    # Unix times up to the year 2286, so that they are dates.
    begins, ends = (_number(date_range, name, 9_999_999_999) for name in ("begin", "end"))
    first, last = (datetime.datetime.fromtimestamp(seconds, datetime.UTC) for seconds in (begins, ends))
    if not EARLIEST <= first <= last <= now + TOLERANCE or last - first > MAX_SPAN:
        raise DmarcError("dates", first=f"{first:%Y-%m-%d}", last=f"{last:%Y-%m-%d}")
    return first, last
