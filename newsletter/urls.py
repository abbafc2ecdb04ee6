"""Every address of the site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from newsletter.admin.completion import complete
from newsletter.admin.deliverability import show_deliverability
from newsletter.admin.growth import show_growth, show_growth_csv
from newsletter.admin.sending_switch import show_sending_switch

handler500 = "newsletter.web.database_outage.server_error"

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/sending/", admin.site.admin_view(show_sending_switch), name="sending_switch"),
    path("admin/deliverability/", admin.site.admin_view(show_deliverability), name="deliverability"),
    path("admin/growth/", admin.site.admin_view(show_growth), name="growth"),
    path("admin/growth.csv", admin.site.admin_view(show_growth_csv), name="growth_csv"),
    path("admin/autocomplete/", admin.site.admin_view(complete)),
    path("admin/", admin.site.urls),
    path("", include("subscribers.web.urls")),
    path("", include("newsletter.web.urls")),
]
