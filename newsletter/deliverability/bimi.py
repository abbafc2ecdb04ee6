"""BIMI: the logo beside mails of the domain. Optional; it needs a DMARC policy that is applied."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree  # type: ignore[import-untyped]

from newsletter.config.translatable import translatable
from newsletter.deliverability.dmarc_policy import Policy
from newsletter.deliverability.findings import WORDS, DnsFinding, Record, Result, Words, finding
from newsletter.deliverability.tag_lists import parse_tags, with_version
from newsletter.outbound import FetchError, FetchPolicy, Limits, fetch
from newsletter.outbound.dns_lookup import Lookup

#: Mailbox providers ask for at most 32 KB.
LIMITS = Limits(seconds=5, bytes=100_000, redirects=1)

#: SVG Tiny Portable/Secure has neither scripts nor anything that is loaded.
FORBIDDEN = frozenset({"script", "image", "foreignObject", "animate", "set", "a", "use"})

WORDS.update(
    bimi_not_set=Words(Result.NOT_SET, translatable("Optional: some inboxes show a logo beside mails with BIMI.")),
    bimi_needs_dmarc=Words(
        Result.WARNING,
        translatable("BIMI needs the DMARC policy “quarantine” or “reject”; the policy is “{policy}”."),
        translatable("Change the policy first. Until then no logo is shown."),
    ),
    bimi_invalid=Words(
        Result.WARNING,
        translatable("The BIMI record of {domain} has no https address of a logo in l=."),
        translatable("Set l= to the address of an SVG file."),
    ),
    bimi_declined=Words(Result.OK, translatable("The BIMI record says that the domain has no logo.")),
    bimi_unreachable=Words(
        Result.WARNING,
        translatable("The logo at {url} cannot be fetched: {reason}"),
        translatable("Publish it there, with a valid certificate."),
    ),
    bimi_no_svg=Words(
        Result.WARNING,
        translatable("The logo at {url} is not SVG Tiny Portable/Secure: {problem}."),
        translatable('Save it as SVG Tiny PS: baseProfile="tiny-ps", version="1.2", with a title, without scripts.'),
    ),
    bimi_ok=Words(Result.OK, translatable("The logo is reachable, and a certificate is named.")),
    bimi_ok_without_certificate=Words(
        Result.OK, translatable("The logo is reachable. Gmail and Apple show it only with a certificate (a=).")
    ),
)


def check_bimi(domain: str, dmarc: Policy, lookup: Lookup, policy: FetchPolicy) -> Iterator[DnsFinding]:
    """The record of the domain, or else of its organizational domain. Raises DnsFailed."""
    names = dict.fromkeys((domain, dmarc.organizational_domain))
    found = [record for name in names for record in with_version(lookup(f"default._bimi.{name}", "TXT"), "BIMI1")[:1]]
    yield _finding_of(domain, found[0], dmarc, policy) if found else finding(Record.BIMI, "bimi_not_set")


def _finding_of(domain: str, record: str, dmarc: Policy, policy: FetchPolicy) -> DnsFinding:
    tags = parse_tags(record)
    applied, url = dmarc.policy_for(domain) or "none", tags.get("l", "")
    if not url and "l" in tags:
        return finding(Record.BIMI, "bimi_declined", record)
    if not url.lower().startswith("https://"):
        return finding(Record.BIMI, "bimi_invalid", record, domain=domain)
    if applied == "none":
        return finding(Record.BIMI, "bimi_needs_dmarc", record, policy=applied)
    shown = url[:200]
    try:
        answer = fetch(url, policy, accept="image/svg+xml", limits=LIMITS)
    except FetchError as error:
        return finding(Record.BIMI, "bimi_unreachable", record, url=shown, reason=error.args[0])
    if answer.status != 200:
        return finding(Record.BIMI, "bimi_unreachable", record, url=shown, reason=str(answer.status))
    if problem := svg_problem(answer.body):
        return finding(Record.BIMI, "bimi_no_svg", record, url=shown, problem=problem)
    return finding(Record.BIMI, "bimi_ok" if tags.get("a") else "bimi_ok_without_certificate", record)


def svg_problem(body: bytes) -> str:
    """The first difference from SVG Tiny PS, as the name of an element or attribute; empty if there is none."""
    if b"<!ENTITY" in body.upper():
        return "entities"
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError):
        return "XML"
    if etree.QName(root).localname != "svg":
        return "svg"
    if root.get("baseProfile") != "tiny-ps" or root.get("version") != "1.2":
        return "baseProfile, version"
    names = {etree.QName(element).localname for element in root.iter() if isinstance(element.tag, str)}
    return next(iter(sorted(names & FORBIDDEN)), "" if "title" in names else "title")
