"""The site behind a real nginx with docs/deploy/nginx.conf: TLS, redirects, slow clients, forwarded addresses."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.conf import settings
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.config.request_body import MAX_BODY_BYTES
from newsletter.demo.environment import free_port
from newsletter.web.webhooks import MAX_BODY_SIZE
from tests.installation import wait_until
from tests.journeys.site import FORM, Site, running_site
from tests.raw_http import Answer, RawClient

pytestmark = [pytest.mark.processes, pytest.mark.own_database]

CONFIGURATION = (PROJECT_ROOT / "docs" / "deploy" / "nginx.conf").read_text(encoding="utf-8")
#: Where Debian installs it, which is not on every account's PATH.
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")

MAIN = """\
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    include {folder}/site.conf;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
}}
"""


class TlsClient(RawClient):
    """A client that speaks TLS and trusts one certificate."""

    def __init__(self, site_url: str, certificate: Path) -> None:
        super().__init__(site_url)
        self._context = ssl.create_default_context(cafile=str(certificate))

    def connect(self) -> socket.socket:
        return self._context.wrap_socket(super().connect(), server_hostname="127.0.0.1")


class ProxiedSite:
    """A site behind nginx: its site, `client` speaks to it by https, `plain` by http."""

    def __init__(self, site: Site, client: RawClient, plain: RawClient) -> None:
        self.site, self.client, self.plain = site, client, plain


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedSite]:
    if NGINX is None:
        assert "CI" not in os.environ, "nginx is missing."
        pytest.skip("nginx is not installed.")
    folder = tmp_path_factory.mktemp("nginx")
    certificate = make_certificate(folder)
    http, https, behind = free_port(0), free_port(0), free_port(0)
    with running_site(folder) as site:
        # As the operator of a public site sets it.
        settings = {
            "SITE_URL": f"https://127.0.0.1:{https}",
            "TRUSTED_PROXIES": "1",
            "PROVIDER": "smtp",
            "SMTP_HOST": "127.0.0.1",
            "RESEND_WEBHOOK_SECRETS": site.webhook_secret,
        }
        site.installation.environment.update(settings)
        processes = site.installation.processes
        processes.start("behind", "-m", "gunicorn", "newsletter.wsgi", "--bind", f"127.0.0.1:{behind}")
        wait_until(site.beside(behind).answers, "the server answers")
        with running_nginx(folder, http=http, https=https, behind=behind):
            client = TlsClient(settings["SITE_URL"], certificate)
            secured = site.beside(behind)
            secured.client = client
            yield ProxiedSite(secured, client, RawClient(f"http://127.0.0.1:{http}"))


def make_certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1; its key is beside it."""
    certificate = folder / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    files = ["-keyout", str(folder / "key.pem"), "-out", str(certificate)]
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1", *files], check=True, capture_output=True
    )
    return certificate


@contextmanager
def running_nginx(folder: Path, *, http: int, https: int, behind: int) -> Iterator[None]:
    """The site file of the docs, on other ports and with another certificate; nothing else is changed."""
    changes = {
        "    listen 80;\n": f"    listen 127.0.0.1:{http};\n",
        "    listen [::]:80;\n": "",
        "    listen 443 ssl;\n": f"    listen 127.0.0.1:{https} ssl;\n",
        "    listen [::]:443 ssl;\n": "",
        "digest.example.org;": "127.0.0.1;",
        "/etc/letsencrypt/live/digest.example.org/fullchain.pem": f"{folder}/certificate.pem",
        "/etc/letsencrypt/live/digest.example.org/privkey.pem": f"{folder}/key.pem",
        "http://127.0.0.1:8000;": f"http://127.0.0.1:{behind};",
    }
    site = CONFIGURATION
    for old, new in changes.items():
        assert old in site
        site = site.replace(old, new)
    (folder / "site.conf").write_text(site)
    main = MAIN.format(folder=folder, user="user root;" if os.geteuid() == 0 else "")
    (folder / "nginx.conf").write_text(main)
    assert NGINX
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    process = subprocess.Popen([*command, "-g", "daemon off;"])
    try:
        wait_until(lambda: is_open(https) or process.poll() is not None, "nginx listens")
        assert process.poll() is None, (folder / "error.log").read_text()
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def stamp_of_the_form(client: RawClient) -> str:
    page = lxml_html.fromstring(client.get("/harbour-notes/").text)
    return str(page.xpath("//input[@name='timestamp']/@value")[0])


def sign_up(client: RawClient, stamp: str, address: str, forwarded: str) -> Answer:
    body = urlencode({"email": address, "website": "", "timestamp": stamp}).encode()
    return client.post_in_chunks("/subscribe/harbour-notes/", body, {**FORM, "X-Forwarded-For": forwarded})


def test_the_sizes_in_the_file_are_those_of_the_web_server() -> None:
    units = {"k": 1024, "m": 1024**2}
    sizes = re.findall(r"client_max_body_size (\d+)([km]);", CONFIGURATION)
    assert [int(number) * units[unit] for number, unit in sizes] == [MAX_BODY_BYTES, MAX_BODY_SIZE]


@pytest.mark.skipif(NGINX is None and "CI" not in os.environ, reason="nginx is not installed.")
def test_no_log_holds_the_link_of_a_subscriber_also_if_the_web_server_is_down(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    http, https = free_port(0), free_port(0)
    link = "/unsubscribe/c2VjcmV0LWxpbms"
    with running_nginx(tmp_path, http=http, https=https, behind=free_port(0)):
        assert RawClient(f"http://127.0.0.1:{http}").get(link).status == 301
        client = TlsClient(f"https://127.0.0.1:{https}", certificate)
        assert client.get(link).status == 502
        assert client.get(f"{link}%00").status == 400
    logs = [tmp_path / "access.log", tmp_path / "error.log"]
    assert all(log.exists() for log in logs)
    assert not any(link in log.read_text() for log in logs)


def test_http_is_redirected_to_https_with_path_and_query(proxied: ProxiedSite) -> None:
    answer = proxied.plain.get("/harbour-notes/issues/?page=1", Host="other.example")
    assert (answer.status, answer.headers["location"]) == (301, "https://127.0.0.1/harbour-notes/issues/?page=1")


def test_pages_are_secure(proxied: ProxiedSite) -> None:
    for path in ("/harbour-notes/", "/static/subscribers/pages.css"):
        answer = proxied.client.get(path)
        assert answer.status == 200
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert answer.headers["x-content-type-options"] == "nosniff"
    login = proxied.client.get("/admin/login/")
    assert login.headers["set-cookie"].startswith("__Host-csrftoken=")
    assert "; Secure" in login.headers["set-cookie"]


def test_redirects_of_the_site_stay_on_https(proxied: ProxiedSite) -> None:
    answer = proxied.client.get("/harbour-notes")
    assert (answer.status, answer.headers["location"]) == (301, "/harbour-notes/")
    assert proxied.client.get("/", Host="other.example").status == 400


def test_chunked_posts_pass_through(proxied: ProxiedSite) -> None:
    assert proxied.site.one_click().text == "Unsubscribed.\n"
    assert proxied.site.webhook().text == "ok"
    assert proxied.site.unsubscribed() == len(proxied.site.one_clicks)


def test_fifty_slow_clients_delay_nobody(proxied: ProxiedSite) -> None:
    with proxied.client.slow_clients(50):
        answers = [proxied.client.get("/healthz"), proxied.site.webhook(), proxied.site.one_click()]
    assert {answer.status for answer in answers} == {200}
    assert max(answer.seconds for answer in answers) < 1.0


def test_clients_are_counted_by_the_address_that_nginx_sees(proxied: ProxiedSite) -> None:
    limit = settings.SIGNUP_NETWORK_LIMIT
    claimed = [f"203.0.113.{number}" for number in range(limit + 1)]
    stamp = stamp_of_the_form(proxied.client)
    answers = [sign_up(proxied.client, stamp, f"g{number}@example.org", ip) for number, ip in enumerate(claimed)]
    # All have the same stamp, which counts once for a network.
    assert [answer.status for answer in answers] == [303, *[400] * (limit - 1), 429]


def test_the_metrics_are_closed_to_the_public(proxied: ProxiedSite) -> None:
    assert proxied.client.get("/metrics").status == 404
