"""The site as a WSGI application, which `gunicorn` serves with the settings in gunicorn.conf.py."""

import os

from django.core.wsgi import get_wsgi_application

from newsletter.config.request_body import BodyLengthMiddleware

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "newsletter.settings")
application = BodyLengthMiddleware(get_wsgi_application())
