"""Every address of the site. May import anything."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("", include("subscribers.urls")),
    path("", include("newsletter.web.urls")),
]
