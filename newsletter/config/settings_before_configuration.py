"""Django's settings for `manage.py configure`, which runs before there is a configuration."""

from __future__ import annotations

import secrets

from newsletter.config.configuration import PROJECT_ROOT

SECRET_KEY = secrets.token_urlsafe(50)
INSTALLED_APPS = ["newsletter", "subscribers", "django.contrib.contenttypes", "django.contrib.auth"]
LOCALE_PATHS = [PROJECT_ROOT / "newsletter" / "locale"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
FAILPOINT = ""
