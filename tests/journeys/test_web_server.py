"""The web server as it is shipped, gunicorn with gunicorn.conf.py, and clients that misbehave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.config.request_body import MAX_BODY_BYTES
from newsletter.demo.environment import free_port
from tests import postgresql
from tests.installation import SeparateInstallation, wait_until
from tests.journeys.site import FORM, PASSWORD, Site, running_site
from tests.raw_http import Answer, RawClient, head_of, send

# The server is the same on every database; its test with a stopped database brings its own PostgreSQL.
pytestmark = [pytest.mark.processes, pytest.mark.own_database]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


# --- Chunked bodies ------------------------------------------------------------------------------------------------


def test_a_chunked_one_click_post_unsubscribes(site: Site) -> None:
    answer = site.one_click()
    assert (answer.status, answer.text) == (200, "Unsubscribed.\n")
    assert site.unsubscribed() == len(site.one_clicks)


def test_a_chunked_webhook_is_verified_and_stored(site: Site) -> None:
    answer = site.webhook()
    assert (answer.status, answer.text) == (200, "ok")


def test_a_chunked_signup_is_taken(site: Site) -> None:
    page = lxml_html.fromstring(site.client.get("/harbour-notes/").text)
    fields = {
        "email": "gus@example.org",
        "website": "",
        "timestamp": page.xpath("//input[@name='timestamp']/@value")[0],
    }
    answer = site.client.post_in_chunks("/subscribe/harbour-notes/", urlencode(fields).encode(), FORM)
    assert answer.status == 303
    assert "/check-mail/" in answer.headers["location"]


def test_a_chunked_login_signs_in(site: Site) -> None:
    page = site.client.get("/admin/login/")
    token = lxml_html.fromstring(page.text).xpath("//input[@name='csrfmiddlewaretoken']/@value")[0]
    fields = {"csrfmiddlewaretoken": token, "username": "edda", "password": PASSWORD, "next": "/admin/"}
    headers = {**FORM, "Cookie": page.headers["set-cookie"].partition(";")[0]}
    answer = site.client.post_in_chunks("/admin/login/", urlencode(fields).encode(), headers)
    assert (answer.status, answer.headers.get("location")) == (302, "/admin/")


def test_a_chunked_body_beyond_the_limit_is_refused(site: Site) -> None:
    chunk = b"%x\r\n%s\r\n" % (MAX_BODY_BYTES, b"a" * MAX_BODY_BYTES)
    with site.client.connect() as connection:
        head = head_of("POST", "/webhooks/resend/", {"Host": site.client.host, "Transfer-Encoding": "chunked"})
        # Still without the chunk that ends the body.
        answer = send(connection, head + b"\r\n", chunk, b"1\r\n")
    assert answer.status == 413


def test_a_chunked_body_in_http_1_0_is_refused(site: Site) -> None:
    with site.client.connect() as connection:
        head = b"POST /subscribe/harbour-notes/ HTTP/1.0\r\nHost: %s\r\n" % site.client.host.encode()
        answer = send(connection, head + b"Transfer-Encoding: chunked\r\n\r\n", b"3\r\na=b\r\n0\r\n\r\n")
    assert answer.status == 411


def test_chunked_bodies_are_read_by_gunicorns_own_workers_too(site: Site) -> None:
    other = site.beside(free_port(0))
    site.installation.processes.start(
        "gthread", "-m", "gunicorn", "newsletter.wsgi", "--bind", other.client.host, "--worker-class", "gthread"
    )
    wait_until(other.answers, "the server answers")
    assert (other.one_click().status, other.webhook().status) == (200, 200)
    assert site.unsubscribed() == len(site.one_clicks)
    long = other.client.post_in_chunks("/webhooks/resend/", b"a" * 300_000, {"Content-Type": "application/json"})
    assert long.status == 413


# --- Slow clients, killed processes, foreign hosts -----------------------------------------------------------------


def test_fifty_slow_clients_delay_nobody(site: Site) -> None:
    with site.client.slow_clients(50):
        asked: tuple[Callable[[], Answer], ...] = (lambda: site.client.get("/healthz"), site.webhook, site.one_click)
        answers = [ask() for _ in range(2) for ask in asked]
    assert [answer.status for answer in answers] == [200] * 6
    assert max(answer.seconds for answer in answers) < 1.0


def test_a_killed_process_is_replaced_while_the_other_answers(site: Site) -> None:
    before = site.workers()
    assert len(before) == 2
    os.kill(min(before), signal.SIGKILL)
    answers = [site.client.get("/healthz") for _ in range(20)]
    assert {answer.status for answer in answers} == {200}
    assert max(answer.seconds for answer in answers) < 1.0
    wait_until(lambda: len(site.workers() - before) == 1, "the killed process is replaced")
    assert site.webhook().status == 200


def test_a_request_for_another_host_is_one_line_of_the_log(site: Site) -> None:
    before = site.log()
    answer = site.client.get("/", Host="scanner.example")
    assert (answer.status, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    added = site.log().removeprefix(before).splitlines()
    assert len(added) == 1
    assert "scanner.example" in added[0]
    assert "Traceback" not in added[0]


def test_the_server_writes_no_socket_into_a_home_directory(site: Site) -> None:
    assert "ontrol" not in site.log()


def test_a_stopping_server_finishes_what_has_arrived_and_waits_for_no_slow_client(tmp_path: Path) -> None:
    client = RawClient(f"http://127.0.0.1:{free_port(0)}")
    command = [sys.executable, "-m", "gunicorn", "tests.journeys.held_application", "--bind", client.host]
    environment = {"PATH": os.environ["PATH"], "HELD_IN": str(tmp_path)}
    server = subprocess.Popen(command, cwd=PROJECT_ROOT, env=environment)
    try:
        wait_until(lambda: is_listening(client), "the server answers")
        with client.slow_clients(10), ThreadPoolExecutor(1) as threads:
            answer = threads.submit(client.get, "/")
            wait_until((tmp_path / "begun").exists, "the request has begun")
            server.send_signal(signal.SIGTERM)
            wait_until(lambda: not is_listening(client), "the server takes no more connections")
            (tmp_path / "go on").touch()
            assert answer.result().text == "done"
            assert server.wait(10) == 0
    finally:
        server.kill()
        server.wait()


def is_listening(client: RawClient) -> bool:
    try:
        client.connect().close()
    except OSError:
        return False
    return True


# --- The database is away ------------------------------------------------------------------------------------------


def test_a_stopped_database_is_an_answer_in_words_until_it_is_back(tmp_path: Path) -> None:
    programs = postgresql.server_programs()
    if programs is None:
        assert "CI" not in os.environ, "PostgreSQL's server programs are missing."
        pytest.skip("PostgreSQL's server programs are not installed.")
    with postgresql.stoppable_cluster(programs) as database:
        installation = SeparateInstallation(tmp_path, database.url)
        installation.run("manage.py", "migrate", "--verbosity", "0")
        prepared = installation.prepare_site(10)
        with installation.processes:
            site = Site(installation, prepared, installation.processes.start_web().pid)
            paths = ("/harbour-notes/", "/harbour-notes/issues/", "/subscribe/harbour-notes/")
            assert [site.client.get(path).status for path in paths] == [200, 200, 200]
            assert site.one_click().status == 200

            database.stop()
            check_that_the_site_is_unavailable(site, paths)
            database.start()
            assert [site.client.get(path).status for path in paths] == [200, 200, 200]
            assert (site.one_click().status, site.webhook().status) == (200, 200)

            turn_read_only(database.url)
            check_that_nothing_can_be_written(site, paths)


def check_that_the_site_is_unavailable(site: Site, paths: tuple[str, ...]) -> None:
    pages = [site.client.get(path) for path in (*paths, "/admin/login/", "/metrics")]
    with ThreadPoolExecutor(8) as threads:
        posts = list(threads.map(lambda ask: ask(), [site.one_click, site.webhook] * 4))
    # The form of the login page needs no database.
    assert [page.status for page in pages] == [503, 503, 503, 200, 503]
    assert {post.status for post in posts} == {503}
    assert all("Try again in a minute" in page.text for page in pages[:3])
    assert {answer.headers["retry-after"] for answer in (*pages[:3], *posts)} == {"30"}
    health = site.client.get("/healthz")
    assert health.status == 200
    assert max(answer.seconds for answer in (*pages, *posts, health)) < 1.0
    assert "Traceback" not in site.log()


def turn_read_only(url: str) -> None:
    """As when a failover has not promoted the new server yet."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


def check_that_nothing_can_be_written(site: Site, paths: tuple[str, ...]) -> None:
    assert [site.client.get(path).status for path in paths] == [200, 200, 200]
    posts = [site.one_click(), site.webhook()]
    assert [post.status for post in posts] == [503, 503]
    assert {post.headers["retry-after"] for post in posts} == {"30"}
    assert "Try again in a minute" in posts[0].text
