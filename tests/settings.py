"""Settings of the test suite: the real ones, from an environment of its own; TEST_DATABASE_URL picks the database."""

import os
import tempfile
from pathlib import Path

os.environ["NEWSLETTER_ENV_FILE"] = os.devnull
os.environ.update(
    SITE_URL="http://127.0.0.1:8000",
    SECRET_KEY="tests-only-" + "k" * 50,
    SUPPRESSION_SECRET="tests-only-" + "s" * 32,
    DATABASE_URL=os.environ.get("TEST_DATABASE_URL", "sqlite:///var/tests.sqlite3"),
    ENVIRONMENT="tests",
    PROVIDER="sandbox",
    ALLOWED_HOSTS="testserver,localhost",
    LOG_LEVEL="WARNING",
    UNDO_SECONDS="0",
)

from newsletter.settings import *  # noqa: F403

# Each process has its own, because each has its own database.
LINK_TABLES_DIR = Path(tempfile.gettempdir()) / f"newsletter-links-{os.getpid()}"
MEDIA_ROOT = Path(tempfile.gettempdir()) / f"newsletter-media-{os.getpid()}"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
