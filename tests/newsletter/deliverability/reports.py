"""Made-up DMARC aggregate reports, in the form of RFC 7489, Appendix C."""

from __future__ import annotations

import datetime
from typing import Any

from django.utils import timezone

DAY = 86_400


def yesterday() -> int:
    """The beginning of yesterday as Unix time."""
    return int(timezone.now().timestamp()) // DAY * DAY - DAY


def record(ip: str = "192.0.2.10", count: Any = 3, *, spf: str = "pass", dkim: str = "pass", **more: str) -> str:
    """One row of a report."""
    values = {"disposition": "none", "header_from": "mail.example.org", "spf_domain": "bounce.mail.example.org"} | more
    return f"""<record><row><source_ip>{ip}</source_ip><count>{count}</count>
      <policy_evaluated><disposition>{values["disposition"]}</disposition><dkim>{dkim}</dkim><spf>{spf}</spf>
      </policy_evaluated></row>
      <identifiers><header_from>{values["header_from"]}</header_from></identifiers>
      <auth_results><dkim><domain>mail.example.org</domain><result>{dkim}</result></dkim>
        <spf><domain>{values["spf_domain"]}</domain><result>{spf}</result></spf></auth_results></record>"""


def report(*records: str, **more: Any) -> bytes:
    """A report with these rows, by default one."""
    begin = more.pop("begin", yesterday())
    values = {"org": "Harbour Mail", "id": "r-1", "domain": "mail.example.org", "end": begin + DAY - 1} | more
    return f"""<?xml version="1.0" encoding="UTF-8"?>
    <feedback{values.get("namespace", "")}><version>1.0</version>
      <report_metadata><org_name>{values["org"]}</org_name><email>dmarc@harbour.example</email>
        <report_id>{values["id"]}</report_id>
        <date_range><begin>{begin}</begin><end>{values["end"]}</end></date_range></report_metadata>
      <policy_published><domain>{values["domain"]}</domain><adkim>r</adkim><p>none</p><pct>100</pct></policy_published>
      {"".join(records or [record()])}
    </feedback>""".encode()


def at(seconds: int) -> datetime.datetime:
    """A Unix time as a datetime."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
