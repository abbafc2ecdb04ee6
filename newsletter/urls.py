"""Every address of the site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from newsletter.admin.best_times import show_best_times
from newsletter.admin.brand import preview_brand, show_brand, show_brand_colors
from newsletter.admin.completion import complete
from newsletter.admin.deliverability import show_deliverability
from newsletter.admin.growth import show_cohorts_csv, show_growth, show_growth_csv
from newsletter.admin.inbox import add_to_issue, show_inbox, show_rows
from newsletter.admin.inbox_save import edit_link, manifest, save_page, save_tools
from newsletter.admin.pictures import (
    add_from_web,
    choose_picture,
    remove_picture,
    replace_picture,
    save_details,
    show_pictures,
    upload_pictures,
)
from newsletter.admin.sending_switch import show_sending_switch
from newsletter.admin.stories import show_sources_csv, show_stories, show_stories_csv

handler500 = "newsletter.web.database_outage.server_error"

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/sending/", admin.site.admin_view(show_sending_switch), name="sending_switch"),
    path("admin/deliverability/", admin.site.admin_view(show_deliverability), name="deliverability"),
    path("admin/growth/", admin.site.admin_view(show_growth), name="growth"),
    path("admin/growth.csv", admin.site.admin_view(show_growth_csv), name="growth_csv"),
    path("admin/growth/cohorts.csv", admin.site.admin_view(show_cohorts_csv), name="growth_cohorts_csv"),
    path("admin/stories/", admin.site.admin_view(show_stories), name="stories_and_sources"),
    path("admin/stories/stories.csv", admin.site.admin_view(show_stories_csv), name="stories_csv"),
    path("admin/stories/sources.csv", admin.site.admin_view(show_sources_csv), name="sources_csv"),
    path("admin/best-times/", admin.site.admin_view(show_best_times), name="best_times"),
    path("admin/pictures/", admin.site.admin_view(show_pictures), name="pictures"),
    path("admin/pictures/choose/", admin.site.admin_view(choose_picture), name="pictures_choose"),
    path("admin/pictures/upload/", admin.site.admin_view(upload_pictures), name="pictures_upload"),
    path("admin/pictures/from-web/", admin.site.admin_view(add_from_web), name="pictures_from_web"),
    path("admin/pictures/<int:key>/", admin.site.admin_view(save_details), name="pictures_save"),
    path("admin/pictures/<int:key>/replace/", admin.site.admin_view(replace_picture), name="pictures_replace"),
    path("admin/pictures/<int:key>/delete/", admin.site.admin_view(remove_picture), name="pictures_delete"),
    path("admin/brand/", admin.site.admin_view(show_brand), name="brand"),
    path("admin/brand/colors/", admin.site.admin_view(show_brand_colors), name="brand_colors"),
    path("admin/brand/preview/<slug:shown>/", admin.site.admin_view(preview_brand), name="brand_preview"),
    path("admin/inbox/", admin.site.admin_view(show_inbox), name="inbox"),
    path("admin/inbox/add/", admin.site.admin_view(add_to_issue), name="inbox_add"),
    path("admin/inbox/rows/", admin.site.admin_view(show_rows), name="inbox_rows"),
    path("admin/inbox/save/", admin.site.admin_view(save_page), name="inbox_save"),
    path("admin/inbox/tools/", admin.site.admin_view(save_tools), name="inbox_tools"),
    path("admin/inbox/manifest/", admin.site.admin_view(manifest), name="inbox_manifest"),
    path("admin/inbox/<int:pk>/", admin.site.admin_view(edit_link), name="inbox_link"),
    path("admin/autocomplete/", admin.site.admin_view(complete)),
    path("admin/", admin.site.urls),
    path("", include("subscribers.web.urls")),
    path("", include("newsletter.web.urls")),
]
