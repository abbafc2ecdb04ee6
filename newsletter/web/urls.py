"""URLs of the public site and of webhooks."""

from django.urls import path

from newsletter.web.brand import brand_style
from newsletter.web.corrections import changes_page
from newsletter.web.crawlers import robots, sitemap
from newsletter.web.feed import atom_feed
from newsletter.web.links import follow_link
from newsletter.web.links_api import save_link
from newsletter.web.media import picture_file
from newsletter.web.pages import archive_page, correction_preview, draft_page, front_page, home, issue_page
from newsletter.web.shared import shared_story
from newsletter.web.webhooks import webhook

urlpatterns = [
    path("l/<str:token>", follow_link, name="follow-link"),
    path("shared/<str:token>/", shared_story, name="shared-story"),
    path("media/<path:path>", picture_file, name="media"),
    path("api/links/", save_link, name="save-link"),
    # The web server takes these before Django does, see newsletter/web/webhook_app.py.
    path("webhooks/<slug:name>/", webhook, name="webhook"),
    path("", home, name="home"),
    path("robots.txt", robots, name="robots"),
    path("sitemap.xml", sitemap, name="sitemap"),
    # These match every first part of a path, so they come last; RESERVED_SLUGS keeps newsletters out of the others.
    path("<slug:newsletter>/", front_page, name="newsletter"),
    path("<slug:newsletter>/brand-<str:sha256>.css", brand_style, name="brand-style"),
    path("<slug:newsletter>/feed.atom", atom_feed, name="feed"),
    path("<slug:newsletter>/issues/", archive_page, name="archive"),
    path("<slug:newsletter>/issues/<slug:issue>/", issue_page, name="issue"),
    path("<slug:newsletter>/issues/<slug:issue>/changes/", changes_page, name="issue-changes"),
    path("<slug:newsletter>/issues/<slug:issue>/draft/", draft_page, name="draft"),
    path("<slug:newsletter>/issues/<slug:issue>/correction/", correction_preview, name="correction-preview"),
]
