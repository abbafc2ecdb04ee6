"""Makes Django ready in the server that forks processes; loaded there before `stage`."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()
