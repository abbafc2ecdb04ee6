"""Django's settings, derived from the configuration."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from csp.constants import NONE, SELF

from newsletter.config.configuration import PROJECT_ROOT, Configuration
from newsletter.config.environment import configuration_or_exit
from newsletter.config.logs import logging_settings


def database_settings(url: str) -> dict[str, Any]:
    """Django's DATABASES entry for a DATABASE_URL."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        file = PROJECT_ROOT / url.removeprefix("sqlite:///")
        # SQLite creates the file, but not its directory.
        file.parent.mkdir(parents=True, exist_ok=True)
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": file,
            "CONN_MAX_AGE": 60,
            "OPTIONS": {
                # WAL lets the web server read while the worker writes. IMMEDIATE takes the write lock at the start of a
                # transaction, where SQLite waits for `timeout`; a lock taken later would fail at once.
                # Deleted content is overwritten: an erased subscriber must not stay in the free pages of the file.
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=ON;",
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
            },
        }
    options: dict[str, object] = dict(parse_qsl(parts.query))
    is_pooled = options.pop("pgbouncer", "") == "true"
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        # With pgbouncer each transaction may use another connection: a cursor would not outlive its own, and a prepared
        # statement would be missing in the next.
        "DISABLE_SERVER_SIDE_CURSORS": is_pooled,
        # Options of libpq, such as ?sslmode=require; None prepares no statement.
        "OPTIONS": {**options, "prepare_threshold": None if is_pooled else 1},
    }


def with_timeouts(database: dict[str, Any]) -> dict[str, Any]:
    """The entry with limits, so that a database server that vanished is an error within seconds.

    `connect_timeout` is in seconds; `tcp_user_timeout`, in milliseconds, ends a connection whose packets are not
    acknowledged. DATABASE_URL may set others.
    """
    if database["ENGINE"] != "django.db.backends.postgresql":
        return database
    return database | {"OPTIONS": {"connect_timeout": "5", "tcp_user_timeout": "10000", **database["OPTIONS"]}}


def media_storage(configuration: Configuration) -> dict[str, Any]:
    """Django's STORAGES entry for pictures: a directory, or a private bucket if one is named."""
    if not configuration.media_s3_bucket:
        return {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    options = {
        "bucket_name": configuration.media_s3_bucket,
        "endpoint_url": configuration.media_s3_endpoint or None,
        "region_name": configuration.media_s3_region or None,
        "access_key": configuration.media_s3_access_key or None,
        "secret_key": configuration.media_s3_secret_key.get_secret_value() or None,
        # The names are those of the content: a file that is there already is the same.
        "file_overwrite": True,
    }
    return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}


CONFIGURATION: Configuration = configuration_or_exit()
SITE_URL = CONFIGURATION.site_url
SITE_HOST = urlsplit(SITE_URL).hostname or ""
IS_ENCRYPTED = SITE_URL.startswith("https://")

DEBUG = CONFIGURATION.debug
SECRET_KEY = CONFIGURATION.secret_key.get_secret_value()
SECRET_KEY_FALLBACKS = [key.get_secret_value() for key in CONFIGURATION.secret_key_fallbacks]
SUPPRESSION_SECRET = CONFIGURATION.suppression_secret.get_secret_value()
ENVIRONMENT = CONFIGURATION.environment
# Empty: all addresses are allowed.
ALLOWED_RECIPIENTS = () if "*" in CONFIGURATION.allowed_recipients else CONFIGURATION.allowed_recipients
TRUSTED_PROXIES = CONFIGURATION.trusted_proxies
FETCH_ALLOWED_HOSTS = CONFIGURATION.fetch_allowed_hosts
FAILPOINT = CONFIGURATION.failpoint
METRICS_TOKEN = CONFIGURATION.metrics_token.get_secret_value()
# Directories of themes in addition to the built-in ones.
THEME_FOLDERS = (CONFIGURATION.themes_dir.resolve(),) if CONFIGURATION.themes_dir else ()

SIGNUP_NETWORK_LIMIT, SIGNUP_EMBEDDED_LIMIT = CONFIGURATION.signup_network_limit, CONFIGURATION.signup_embedded_limit
SIGNUP_ADDRESS_LIMIT, SIGNUP_DOMAIN_LIMIT = CONFIGURATION.signup_address_limit, CONFIGURATION.signup_domain_limit
SIGNUP_SITE_LIMIT, SIGNUP_LIMIT_MULTIPLE = CONFIGURATION.signup_site_limit, CONFIGURATION.signup_limit_multiple
# No mail of the sandbox leaves the machine, so that no name server needs to know of it.
SIGNUP_MX_CHECK = CONFIGURATION.signup_mx_check == "on" and CONFIGURATION.provider != "sandbox"
SIGNUP_DISPOSABLE_DOMAINS = CONFIGURATION.signup_disposable_domains

BROKER_URL = CONFIGURATION.broker_url.get_secret_value()

SENDING_IS_OFF = CONFIGURATION.sending == "off"
PROVIDER = CONFIGURATION.provider
PROVIDER_URL = CONFIGURATION.provider_url
PROVIDER_API_KEY = CONFIGURATION.provider_key
PROVIDER_READ_KEY = CONFIGURATION.provider_read_key
WEBHOOK_SECRETS = CONFIGURATION.webhook_secrets
SANDBOX_URL = CONFIGURATION.sandbox_url
PRICE_PER_THOUSAND = CONFIGURATION.price_per_thousand
PRICE_TIERS = CONFIGURATION.price_tiers
PRICE_CURRENCY = CONFIGURATION.price_currency
#: By the name of the rule, see subscribers/privacy/retention.py.
RETENTION_DAYS = {
    "webhooks": CONFIGURATION.retention_webhook_days,
    "payloads": CONFIGURATION.retention_payload_days,
    "evidence": CONFIGURATION.retention_evidence_days,
    "mails": CONFIGURATION.retention_mail_days,
    "signups": CONFIGURATION.retention_signup_days,
    "imports": CONFIGURATION.retention_import_days,
    "archive_uploads": CONFIGURATION.retention_import_days,
    "client_data": CONFIGURATION.retention_client_days,
    "outgoing_webhooks": CONFIGURATION.retention_outgoing_webhook_days,
    "dmarc_reports": CONFIGURATION.retention_deliverability_days,
    "postmaster_days": CONFIGURATION.retention_deliverability_days,
    "report_mails": CONFIGURATION.retention_webhook_days,
    # Hashes of visitors without consent have a key of one day.
    "visitors": 1,
    "networks": CONFIGURATION.retention_hit_days,
    "hits": CONFIGURATION.retention_click_days,
    "engagement_times": CONFIGURATION.retention_click_days,
}
LINK_TABLES_DIR = PROJECT_ROOT / CONFIGURATION.link_tables_dir
MEDIA_ROOT = PROJECT_ROOT / CONFIGURATION.media_root
STORAGES = {
    "default": media_storage(CONFIGURATION),
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
NETWORK_CLASSES = CONFIGURATION.network_classes
POSTMASTER_CREDENTIALS = CONFIGURATION.postmaster_credentials.get_secret_value()
DMARC_REPORT_ADDRESS = CONFIGURATION.dmarc_report_address
DKIM_SELECTORS, RETURN_PATH = CONFIGURATION.dkim_selectors, CONFIGURATION.return_path
#: As a fraction; Gmail's figures are such.
SPAM_RATE_LIMIT = CONFIGURATION.spam_rate_limit / 100
UNDO_SECONDS, OVERDUE_MINUTES = CONFIGURATION.undo_seconds, CONFIGURATION.overdue_minutes

ALLOWED_HOSTS = [SITE_HOST, *CONFIGURATION.allowed_hosts]
INSTALLED_APPS = [
    "newsletter",
    "subscribers",
    "newsletter.editor_site.EditorAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
]
MIDDLEWARE = [
    # Before the check of the Host header, since probes send the name of a machine instead of the site's.
    "newsletter.monitoring.probes.ProbeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "newsletter.web.refusals.RefusalMiddleware",
    "newsletter.web.database_outage.DatabaseOutageMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "newsletter.config.languages.LanguageMiddleware",
    "newsletter.admin.time_zone.AdminZoneMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "newsletter.web.redirects.RedirectMiddleware",
]
ROOT_URLCONF = "newsletter.urls"
WSGI_APPLICATION = "newsletter.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [PROJECT_ROOT / "templates" / "django"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "newsletter.admin.sending_switch.sending_stop",
                "newsletter.admin.navigation.navigation",
                "newsletter.admin.time_zone.zone_name",
            ],
            "libraries": {"brand": "newsletter.web.brand"},
        },
    },
]
# The compose page sends seven fields per row; Django's limit of 1,000 would reject a long issue.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5_000

DATABASES = {"default": with_timeouts(database_settings(CONFIGURATION.database_url.get_secret_value()))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
# Subscriber pages and mails speak the language of their list; the admin speaks the editor's, English or German.
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("fr", "Français"), ("es", "Español")]
ADMIN_LANGUAGES = ("en", "de")
LOCALE_PATHS = [PROJECT_ROOT / "newsletter" / "locale"]
FORMAT_MODULE_PATH = "newsletter.config.formats"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
# Static files are served from the apps, so that collectstatic is not needed.
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 3600

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if IS_ENCRYPTED else 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_ENCRYPTED
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = (
    ("__Host-sessionid", "__Host-csrftoken") if IS_ENCRYPTED else ("sessionid", "csrftoken")
)
CSRF_COOKIE_HTTPONLY = True
# Some web servers ignore X-Forwarded-Proto from a proxy on another machine, so the site's own origin is trusted.
CSRF_TRUSTED_ORIGINS = [SITE_URL]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if CONFIGURATION.trusted_proxies else None

EMAIL_BACKEND = "newsletter.providers.email_backend.ProviderEmailBackend"
# The server of the SMTP provider. Deprecated in Django 6.1: MAILERS replaces the settings EMAIL_*. Only this place sets
# them; tests/house/test_pythons.py names the two modules that read them.
EMAIL_HOST, EMAIL_PORT, EMAIL_TIMEOUT = CONFIGURATION.smtp_host, CONFIGURATION.smtp_port, CONFIGURATION.smtp_timeout
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = CONFIGURATION.smtp_user, CONFIGURATION.smtp_password.get_secret_value()
EMAIL_USE_TLS, EMAIL_USE_SSL = CONFIGURATION.smtp_tls == "starttls", CONFIGURATION.smtp_tls == "implicit"

LOGGING = logging_settings(CONFIGURATION.log_level, CONFIGURATION.log_format)
