"""The configuration: every setting that an operator may set, with its documentation.

`environment` reads it, `newsletter.settings` derives Django's settings from it, and `manage.py show_settings --write`
writes `.env.example` and the README's table.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, DirectoryPath, Field, FilePath, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from newsletter.config import validation
from newsletter.config.validation import Names, Origin, Secrets

PROJECT_ROOT = Path(__file__).resolve().parents[2]

RESEND_API_URL = "https://api.resend.com"
DEFAULT_DATABASE = "sqlite:///var/newsletter.sqlite3"

#: Former names of settings. One that is still set stops the start with its new name.
RENAMED = {"DRILL": "FAILPOINT"}


class Configuration(BaseSettings):
    """Every setting. Secrets are `SecretStr`, which never shows its value in output, logs or errors."""

    model_config = SettingsConfigDict(
        # With or without the byte order mark that some editors write.
        env_file_encoding="utf-8-sig",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        env_ignore_empty=True,
    )

    site_url: Annotated[Origin, AfterValidator(validation.https_in_public)] = Field(
        description="Public URL of the site, without a path. All links in mails, pages and feeds start with it. "
        "Must be https, except on this machine (http://127.0.0.1:8000).",
        # A first try works with it. A public site has another one in any case.
        examples=["http://127.0.0.1:8000"],
    )
    secret_key: Annotated[SecretStr, AfterValidator(validation.signing_key)] = Field(
        description="Secret that signs sessions and the links in mails. At least 50 characters. Create one with: "
        "python3 -c 'import secrets; print(secrets.token_urlsafe(50))'",
    )
    secret_key_fallbacks: Secrets = Field(
        default=(),
        description="Previous values of SECRET_KEY, separated by commas. Links that were signed with them stay valid. "
        "Keep each value for a year, as subscribers open old mails. manage.py doctor counts the mails that lose their "
        "links.",
    )
    suppression_secret: Annotated[SecretStr, AfterValidator(validation.hashing_key)] = Field(
        description="Secret that keys the hashes of suppressed addresses. At least 32 characters. Never change it: "
        "suppressed addresses would not be recognised and would get mail again.",
    )
    database_url: Annotated[SecretStr, AfterValidator(validation.database)] = Field(
        default=SecretStr(DEFAULT_DATABASE),
        description="Database: sqlite:///path/to/file or postgresql://user:password@host:port/name. Options of libpq "
        "may follow, such as ?sslmode=require. Add ?pgbouncer=true behind a pgbouncer that pools transactions.",
    )
    environment: str = Field(
        default="production",
        pattern=r"^[a-z0-9_-]{1,32}$",
        description="Name of this installation: up to 32 lower-case letters, digits, - and _. Each mail carries it as "
        "a tag, so that installations that share a Resend team ignore each other's events. A name that does not start "
        "with production marks a rehearsal, which sends to ALLOWED_RECIPIENTS only.",
    )
    broker_url: Annotated[SecretStr, AfterValidator(validation.broker)] = Field(
        default=SecretStr(""),
        description="Message broker for Celery, needed only for workers on several machines: "
        "amqp://user:password@host:port/vhost (RabbitMQ) or redis://:password@host:port/number. Use a separate vhost "
        "or number for each installation. Leave empty to run without a broker. See docs/scale-out.md.",
    )
    sending: Literal["on", "off"] = Field(
        default="on",
        description="off stops all mail of this installation: issues, confirmation mails and test mails. It waits and "
        "is sent when sending resumes. The admin and manage.py stop_sending do the same without a restart, and cannot "
        "override off.",
    )
    provider: Annotated[str, AfterValidator(validation.provider_route)] = Field(
        default="sandbox",
        description="Provider that sends the mail: sandbox (manage.py sandbox; no mail leaves this machine), resend, "
        "or smtp (any mail server). Several names set the order of failover: resend,smtp fails over to SMTP while "
        "Resend is unavailable.",
    )
    sandbox_url: Annotated[Origin, AfterValidator(validation.on_this_machine)] = Field(
        default="http://127.0.0.1:8026",
        description="URL of the sandbox, which must run on this machine.",
    )
    resend_api_key: Annotated[
        SecretStr, AfterValidator(validation.needed_for_resend), AfterValidator(validation.resend_key)
    ] = Field(
        default=SecretStr(""),
        validate_default=True,
        description="Resend API key (re_…) with sending access. Required with PROVIDER=resend.",
    )
    resend_read_key: Annotated[SecretStr, AfterValidator(validation.resend_key)] = Field(
        default=SecretStr(""),
        description="Second Resend API key (re_…) with full access, never used to send: batches whose outcome is "
        "unknown are searched for in Resend's list of sent mails, the tracking of the sending domains is checked, and "
        "Resend's suppression list is taken over; addresses whose suppression is lifted here are removed from it. "
        "Events whose webhooks did not arrive are taken from Resend's log of events. Leave empty "
        "to settle batches by webhook events or by hand, and to check domains, list and endpoint yourself.",
    )
    resend_webhook_secrets: Annotated[Secrets, AfterValidator(validation.webhook_secrets)] = Field(
        default=(),
        validate_default=True,
        description="Signing secrets of the Resend webhook (whsec_…), separated by commas. During a rotation, list the "
        "new one and the old one. Required with PROVIDER=resend.",
    )
    price_per_thousand: Decimal | None = Field(
        default=None,
        ge=0,
        max_digits=12,
        decimal_places=4,
        description="Price of a thousand mails at your provider, in PRICE_CURRENCY, such as 0.40. Dry runs then show "
        "the cost of an issue. Leave empty to show no cost, or if the price depends on the volume: see PRICE_TIERS.",
    )
    price_tiers: Annotated[str, AfterValidator(validation.price_tiers)] = Field(
        default="",
        description="Monthly prices by volume: resend (its prices in USD for up to 100000 mails), or your own tiers, "
        "such as 50000=20,100000=90 (mails a month = price) or contacts:5000=40,10000=80. Dry runs then show the part "
        "of an issue in the price of its month; above the largest tier, no cost. Used instead of PRICE_PER_THOUSAND.",
    )
    price_currency: str = Field(
        default="USD",
        pattern=r"^[A-Z]{3}$",
        description="Currency of PRICE_PER_THOUSAND and PRICE_TIERS, as a three-letter ISO 4217 code.",
    )
    undo_seconds: int = Field(
        default=60,
        ge=0,
        le=3600,
        description="Undo window for “Send now”, in seconds (0 to 3600). Sending starts when it ends. 0: sending "
        "starts at once.",
    )
    overdue_minutes: int = Field(
        default=60,
        ge=5,
        le=10_080,
        description="Schedules that start later than this are held for confirmation, in minutes (5 to 10080). Sends in "
        "progress are paused when no worker has run for this long.",
    )
    smtp_host: Annotated[str, AfterValidator(validation.smtp_host)] = Field(
        default="",
        validate_default=True,
        description="Host name of the SMTP server. Required with PROVIDER=smtp.",
    )
    smtp_port: int = Field(
        default=587,
        ge=1,
        le=65535,
        description="Port of the SMTP server: usually 587 with SMTP_TLS=starttls, 465 with implicit, 25 with none.",
    )
    smtp_user: str = Field(default="", description="User name at the SMTP server. Leave empty for no authentication.")
    smtp_tls: Literal["starttls", "implicit", "none"] = Field(
        default="starttls",
        description="Encryption of the SMTP connection: starttls or implicit (TLS from the first byte), which "
        "verify the server's certificate, or none.",
    )
    smtp_password: Annotated[SecretStr, AfterValidator(validation.smtp_password)] = Field(
        default=SecretStr(""),
        validate_default=True,
        description="Password of SMTP_USER.",
    )
    smtp_timeout: int = Field(
        default=60,
        ge=5,
        le=600,
        description="Timeout for each answer of the SMTP server, in seconds (5 to 600). If the last answer for a mail "
        "is late, its outcome is unknown: it is held for review and not sent again.",
    )
    allowed_recipients: Annotated[Names, AfterValidator(validation.recipient_allowlist)] = Field(
        default=(),
        validate_default=True,
        description="Recipient allowlist: addresses and @domains, separated by commas, such as "
        "me@example.org,@example.net. Other addresses get no mail. Leave empty, or set *, to allow all. A rehearsal "
        "(see ENVIRONMENT) with a provider that delivers real mail requires a list or *.",
    )
    allowed_hosts: Names = Field(
        default=(),
        description="Additional host names that the site answers to, separated by commas. The host of SITE_URL is "
        "always allowed.",
    )
    fetch_allowed_hosts: Names = Field(
        default=(),
        description="Hosts in your private network that feeds and links may be fetched from, separated by commas. "
        "Leave empty to fetch from the public internet only.",
    )
    trusted_proxies: int = Field(
        default=0,
        ge=0,
        le=5,
        description="Number of reverse proxies in front of the site that append to X-Forwarded-For (0 to 5). 0: the "
        "header is ignored.",
    )
    signup_network_limit: int = Field(
        default=60,
        ge=1,
        le=100_000,
        description="Sign-ups of one network (an IPv4 address or an IPv6 /64) in an hour, for all lists. Further ones "
        "are answered with “Try again later”. Visitors without a known network, as behind a Unix socket, count as one.",
    )
    signup_embedded_limit: int = Field(
        default=20,
        ge=1,
        le=100_000,
        description="The same for forms on other sites that were copied as HTML: they carry no stamp of when they were "
        "shown.",
    )
    signup_address_limit: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="Sign-ups of one address in a day, for all lists. Further ones are ignored. At most 3 of them "
        "cause a mail in any case.",
    )
    signup_domain_limit: int = Field(
        default=20,
        ge=1,
        le=1_000_000,
        description="Sign-ups of one mail domain in an hour that are answered with a mail. Further ones are held for "
        "review, unless SIGNUP_LIMIT_MULTIPLE times the average of the last 28 days allows more. The limit of large "
        "mailbox providers, such as gmail.com, is ten times as high.",
    )
    signup_site_limit: int = Field(
        default=500,
        ge=1,
        le=1_000_000,
        description="The same for the whole site: sign-ups in an hour, for all lists and domains.",
    )
    signup_limit_multiple: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="How many times the hourly average of the last 28 days SIGNUP_DOMAIN_LIMIT and SIGNUP_SITE_LIMIT "
        "grow to.",
    )
    signup_mx_check: Literal["on", "off"] = Field(
        default="on",
        description="Look up the mail server of the domain of each sign-up in the DNS, for rules that ask for it. "
        "While the DNS does not answer, such rules do not match. Not used while PROVIDER is the sandbox.",
    )
    signup_disposable_domains: FilePath | None = Field(
        default=None,
        description="File with more domains of disposable addresses, one per line, for the rules of sign-ups. They are "
        "added to the built-in list.",
    )
    retention_webhook_days: int = Field(
        default=30,
        ge=2,
        le=3650,
        description="How long the bodies of webhook events are kept, in days (2 to 3650). Then addresses, subjects and "
        "links are removed from them; kind, time and result stay for the reports.",
    )
    retention_client_days: int = Field(
        default=7,
        ge=1,
        le=3650,
        description="How long the IP addresses and user agents in webhook events, such as those of opens and clicks, "
        "are kept, in days (1 to 3650).",
    )
    retention_outgoing_webhook_days: int = Field(
        default=30,
        ge=2,
        le=3650,
        description="How long the messages of outgoing webhooks and the log of their attempts are kept, in days (2 to "
        "3650). They can be sent again until then.",
    )
    retention_payload_days: int = Field(
        default=35,
        ge=2,
        le=3650,
        description="How long the frozen mails of a batch without a known outcome are kept, in days (2 to 3650). Then "
        "their recipients are removed. All others are removed as soon as the outcome is known.",
    )
    retention_evidence_days: int = Field(
        default=90,
        ge=1,
        le=3650,
        description="How long the IP addresses and user agents of consents are kept, in days (1 to 3650). The consents "
        "themselves stay.",
    )
    retention_mail_days: int = Field(
        default=90,
        ge=2,
        le=3650,
        description="How long the subjects and errors of transactional mails are kept, in days (2 to 3650). Their text "
        "is removed as soon as they are sent.",
    )
    retention_signup_days: int = Field(
        default=30,
        ge=2,
        le=3650,
        description="How long processed sign-ups are kept at most, in days (2 to 3650).",
    )
    retention_import_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="How long the file of an import of subscribers and its refused rows are kept after it, and how "
        "long an uploaded archive of issues that is not imported, in days (1 to 3650).",
    )
    retention_deliverability_days: int = Field(
        default=400,
        ge=30,
        le=3650,
        description="How long DMARC reports with the IP addresses of their senders, and the figures of Gmail's "
        "Postmaster Tools, are kept, in days (30 to 3650).",
    )
    postmaster_credentials: Annotated[SecretStr, AfterValidator(validation.google_credentials)] = Field(
        default=SecretStr(""),
        description="Credentials for Gmail's Postmaster Tools: the path of a JSON file, or the JSON itself in one "
        "line. Either the key of a service account, or an object with client_id, client_secret and refresh_token. "
        "Leave empty to read no spam rate. See docs/run-it.md.",
    )
    dmarc_report_address: Annotated[str, AfterValidator(validation.report_address)] = Field(
        default="",
        description="Address at which Resend receives DMARC reports for you, as in rua= of your DMARC record, such as "
        "dmarc@reports.example.org. Mails to it are fetched with RESEND_READ_KEY and imported. Leave empty to upload "
        "reports yourself. See docs/run-it.md.",
    )
    dkim_selectors: Annotated[Names, AfterValidator(validation.host_labels)] = Field(
        default=("resend",),
        description="Selectors of the DKIM keys with which your provider signs, separated by commas. The DNS checks "
        "look for a key under each. Resend's is resend.",
    )
    return_path: Annotated[str, AfterValidator(validation.host_label)] = Field(
        default="send",
        description="Subdomain of the sending domain that Resend uses as the return path. Change it only if you set a "
        "custom return path there. Not used with PROVIDER=smtp.",
    )
    spam_rate_limit: float = Field(
        default=0.3,
        ge=0.1,
        le=100,
        description="Spam rate that Gmail's Postmaster Tools report for the sender's domain, in percent, from which "
        "on no send starts and running sends are paused (0.1 to 100). A warning comes at 0.1.",
    )
    retention_hit_days: int = Field(
        default=7,
        ge=1,
        le=7,
        description="How long the hashed networks and the browsers of opens and clicks are kept, in days (1 to 7). "
        "Then their judgement as a human or a machine stays as it is. Of visitors without consent they are removed "
        "after a day.",
    )
    retention_click_days: int = Field(
        default=396,
        ge=7,
        le=396,
        description="How long it is kept which subscriber opened or clicked what, in days (7 to 396, which are 13 "
        "months). The counts of each link and hour stay.",
    )
    link_tables_dir: Path = Field(
        default=Path("var/links"),
        description="Directory where web server and worker keep the addresses that links in mails lead to, so that "
        "these links work while the database is unavailable. Relative paths start at the project.",
    )
    media_root: Path = Field(
        default=Path("var/media"),
        description="Directory of the pictures that editors upload. Every web server needs the same one, and mails "
        "that were sent load pictures from it for years. Relative paths start at the project. Not used with "
        "MEDIA_S3_BUCKET.",
    )
    media_s3_bucket: str = Field(
        default="",
        description="Bucket of an object storage that speaks S3, where pictures are kept instead of MEDIA_ROOT. Needs "
        "the package django-storages[s3]. The site serves them, so the bucket should be private. Leave empty to use "
        "MEDIA_ROOT.",
    )
    media_s3_endpoint: str = Field(
        default="",
        description="URL of the object storage, such as https://s3.example.org. Leave empty for Amazon’s.",
    )
    media_s3_region: str = Field(default="", description="Region of the bucket. Leave empty if there is none.")
    media_s3_access_key: str = Field(default="", description="Access key. Leave empty to use the machine’s role.")
    media_s3_secret_key: SecretStr = Field(default=SecretStr(""), description="Secret key of MEDIA_S3_ACCESS_KEY.")
    network_classes: FilePath | None = Field(
        default=None,
        description="File with networks of data centers, mail filters and Apple’s relay, one per line with its class: "
        "192.0.2.0/24 hosting. Classes: apple, google, hosting, microsoft, scanner. Added to the built-in list, which "
        "tells machines from humans.",
    )
    themes_dir: DirectoryPath | None = Field(
        default=None,
        description="Directory of your own themes, with one subdirectory per theme; see docs/write-a-theme.md. Leave "
        "empty to use the built-in themes only.",
    )
    debug: bool = Field(
        default=False, description="Show error details in the browser. Never enable it on a public site."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Lowest level of the log lines that are written: DEBUG, INFO, WARNING or ERROR."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto",
        description="Format of log lines: json, text, or auto, which is text in a terminal and json elsewhere.",
    )
    metrics_token: Annotated[SecretStr, AfterValidator(validation.bearer_token)] = Field(
        default=SecretStr(""),
        description="Bearer token with which Prometheus may read /metrics from another machine. At least 20 "
        "characters. Leave empty to answer requests from this machine only.",
    )
    failpoint: Annotated[str, AfterValidator(validation.failpoint)] = Field(
        default="",
        description="For tests only: the point at which a process kills itself, such as claim-committed:3:kill. "
        "Requires PROVIDER=sandbox and ENVIRONMENT=test or development.",
    )

    @property
    def may_mail_subscribers(self) -> bool:
        """Whether it delivers real mail to any address: it is no rehearsal with a recipient allowlist."""
        is_rehearsal = not self.environment.startswith("production")
        is_limited = is_rehearsal and "*" not in self.allowed_recipients
        return not is_limited and validation.delivers_real_mail(self.provider.split(","), self.smtp_host)

    @property
    def provider_url(self) -> str:
        """Origin of the API that posts go to."""
        return RESEND_API_URL if "resend" in self.provider else self.sandbox_url

    @property
    def provider_key(self) -> str:
        """The API key for sending. The sandbox has a fixed one."""
        return self.resend_api_key.get_secret_value() if "resend" in self.provider else "re_sandbox"

    @property
    def provider_read_key(self) -> str:
        """The API key for provider searches; empty if there is none."""
        return self.resend_read_key.get_secret_value() if "resend" in self.provider else "re_sandbox"

    @property
    def webhook_secrets(self) -> list[str]:
        """Secrets that verify webhooks. The sandbox's is derived from SECRET_KEY, so that it needs no setting.

        Without either in PROVIDER, those of Resend: its events about earlier mails still arrive.
        """
        if "resend" in self.provider or "sandbox" not in self.provider:
            return [secret.get_secret_value() for secret in self.resend_webhook_secrets]
        secret = hmac.digest(self.secret_key.get_secret_value().encode(), b"sandbox webhook", hashlib.sha256)
        return ["whsec_" + base64.b64encode(secret).decode("ascii")]
