"""Users and groups: Django's pages, with the limits that all lists of the admin have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import User

from subscribers.admin.filters import OfferedFilters

if TYPE_CHECKING:
    EditorAdmin = DjangoUserAdmin[User]
else:
    EditorAdmin = DjangoUserAdmin


class UserAdmin(OfferedFilters, EditorAdmin):
    """Editors."""


class GroupAdmin(OfferedFilters, DjangoGroupAdmin):
    """Groups of permissions."""
