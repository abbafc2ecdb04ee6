"""The site as a WSGI application, which `gunicorn` serves with the settings in gunicorn.conf.py."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "newsletter.settings")
django_application = get_wsgi_application()

from newsletter.config.request_body import BodyLengthMiddleware
from newsletter.web.webhook_app import WebhookApplication

application = WebhookApplication(BodyLengthMiddleware(django_application))
