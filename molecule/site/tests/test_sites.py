"""What Nginx does for each app, as visitors, load balancers and Django itself meet it.

Requests of these tests come from the gateway of the container's network, which the host trusts as a load balancer;
those of a stranger from the host's own address, which it does not.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import secrets
import socket
import ssl
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import HOST, Answer, Site, ansible, changed_by, wait_until, workers

PROJECT = Path(os.environ["EMPEROR_PROJECT"])
sys.path.insert(0, str(PROJECT / "playbooks/collections"))
from ansible_collections.emperor.web.plugins.module_utils import _probation  # noqa: E402

SCENARIO = PROJECT / "molecule/site"
DOMAIN = "shop.example.com"
LONGEST = f"{'.'.join(['x' * 63] * 3 + ['y' * 53])}.example"
BEHIND = "behind.example.com"
HTTPS = {"X_Forwarded_Proto": "https"}

STRANGER = """
import http.client, json, sys
address, domain, path, headers = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
connection = http.client.HTTPConnection(address, timeout=30)
try:
    connection.request("GET", path, headers={"Host": domain} | headers)
    answer = connection.getresponse()
    print(json.dumps([answer.status, dict(answer.headers), answer.read().decode()]))
except http.client.RemoteDisconnected:
    print(json.dumps([0, {}, ""]))
"""


@pytest.fixture
def behind(address) -> Site:
    return Site(address, BEHIND)


class Visitors(Site):
    """Each request comes from another address, so that no limit of one visitor counts."""

    numbers = itertools.count(1)

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        return super().request(method, path, body, X_Forwarded_For=f"198.51.100.{next(self.numbers)}", **headers)


@pytest.fixture
def visitors(address) -> Visitors:
    return Visitors(address, DOMAIN)


@pytest.fixture
def stranger(host, address):
    """Ask from an address that nobody trusts; status, headers and body."""

    def ask(domain: str, path: str = "/", source: str = address, **headers: str) -> tuple[int, dict, str]:
        wire = {name.replace("_", "-"): value for name, value in headers.items()}
        command = "python3 -c %s %s %s %s %s"
        return json.loads(host.check_output(command, STRANGER, source, domain, path, json.dumps(wire)))

    return ask


def seen(answer) -> dict:
    """What Django says of a request."""
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


def over_tls(address: str, name: str, path: str = "/") -> http.client.HTTPResponse:
    connection = http.client.HTTPSConnection(name, timeout=30)
    plain = socket.create_connection((address, 443), timeout=30)
    connection.sock = ssl._create_unverified_context().wrap_socket(plain, server_hostname=name)
    connection.request("GET", path)
    return connection.getresponse()


# Names.


@pytest.mark.parametrize("name", [DOMAIN, LONGEST])
def test_all_names_are_answered(address, name):
    assert seen(Site(address, name).get("/"))["url"] == f"http://{name}/"


@pytest.mark.parametrize(("method", "status"), [("GET", 301), ("HEAD", 301), ("POST", 308)])
def test_other_names_lead_to_the_first_one(address, method, status):
    answer = Site(address, f"www.{BEHIND}").request(method, "/some%20page/?q=%C3%A9&next=/a/", **HTTPS)
    assert answer.status == status
    assert answer.headers["Location"] == f"https://{BEHIND}/some%20page/?q=%C3%A9&next=/a/"


def test_other_names_lead_to_the_first_one_in_one_step_from_http_and_over_tls(address):
    there = "https://sealed.example.com/x?y=z"
    assert Site(address, "www.sealed.example.com").get("/x?y=z").headers["Location"] == there
    assert over_tls(address, "www.sealed.example.com", "/x?y=z").headers["Location"] == there
    assert over_tls(address, "sealed.example.com").status == 200


# TLS that ends at a load balancer.


def test_scheme_of_the_load_balancer_reaches_django(behind):
    answer = behind.get("/", **HTTPS)
    assert seen(answer) | {"secure": True, "url": f"https://{BEHIND}/", "SERVER_PORT": "443"} == seen(answer)
    assert answer.headers["Strict-Transport-Security"] == "max-age=3600"


def test_http_is_redirected_once(behind):
    answer = behind.get("/show/a/?b=c", X_Forwarded_Proto="http")
    assert (answer.status, answer.headers["Location"]) == (301, f"https://{BEHIND}/show/a/?b=c")
    assert "X-Request-ID" in answer.headers
    assert behind.get("/show/a/?b=c", **HTTPS).status == 200


def test_form_works_behind_a_load_balancer(behind):
    page = behind.get("/form", **HTTPS)
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    fields = f"csrfmiddlewaretoken={page.text}".encode()
    headers = HTTPS | {"Cookie": cookie, "Content_Type": "application/x-www-form-urlencoded"}
    assert behind.request("POST", "/form", fields, Origin=f"https://{BEHIND}", **headers).text == "sent"
    assert behind.request("POST", "/form", fields, Origin="https://evil.example.com", **headers).status == 403


@pytest.mark.parametrize(
    "claim", [{"X_Forwarded_Proto": "https"}, {"X_Forwarded_SSL": "on"}, {"Front_End_Https": "on"}]
)
def test_strangers_are_not_believed_that_they_come_over_https(stranger, claim):
    status, headers, _body = stranger(BEHIND, **claim)
    assert (status, headers["Location"]) == (301, f"https://{BEHIND}/")
    assert json.loads(stranger(DOMAIN, **claim)[2])["secure"] is False


def test_visitors_address_is_what_the_load_balancer_says(site, stranger, address):
    answer = site.get("/", X_Forwarded_For="192.0.2.66, 203.0.113.9")
    assert seen(answer)["REMOTE_ADDR"] == "203.0.113.9", "the visitor claims to be 192.0.2.66"
    assert json.loads(stranger(DOMAIN, X_Forwarded_For="203.0.113.9")[2])["REMOTE_ADDR"] == address


def test_request_has_one_id_everywhere(host, site, stranger):
    answer = site.get("/", X_Request_ID="given-by.the=balancer_1")
    assert seen(answer)["HTTP_X_REQUEST_ID"] == answer.headers["X-Request-ID"] == "given-by.the=balancer_1"
    assert '"request_id":"given-by.the=balancer_1"' in host.file("/var/log/nginx/access.log").content_string
    for forged in (site.get("/", X_Request_ID="a b").headers, stranger(DOMAIN, X_Request_ID="forged")[1]):
        assert re.fullmatch("[0-9a-f]{32}", forged["X-Request-ID"])


def test_host_that_a_visitor_claims_beside_the_real_one_is_not_believed(site):
    assert seen(site.get("/", X_Forwarded_Host="evil.example.com"))["HTTP_X_FORWARDED_HOST"] == DOMAIN


def test_load_balancer_may_ask_for_the_address(address, stranger):
    """As ELB does: over HTTP, without a name. ALLOWED_HOSTS is strict, and Django redirects HTTP to HTTPS."""
    by_address = Site(address, address)
    answer = seen(by_address.get("/healthz"))
    assert answer["url"] == f"https://{BEHIND}/show/health/?from=balancer"
    assert seen(by_address.get("/balancer/shop"))["url"] == f"http://{DOMAIN}/"
    for path in ("/", "/healthz/"):
        with pytest.raises(http.client.RemoteDisconnected):
            by_address.get(path)
    assert stranger(address, "/healthz")[0] == 0, "nobody else learns how the app is"


def test_nobody_becomes_this_host_by_claiming_its_address(host, address, site, stranger):
    claim = {"X_Forwarded_For": "127.0.0.1"}
    assert stranger(DOMAIN, "/", "127.0.0.1")[1]["X-Emperor-Release"]
    assert site.get("/", **claim).headers["X-Emperor-Release"] is None
    assert Site(address, address).get("/nginx_status", **claim).status == 403
    host.check_output("touch /srv/django/shop/maintenance")
    try:
        assert site.get("/", **claim).status == 503
    finally:
        host.check_output("rm /srv/django/shop/maintenance")


# Headers.


def test_headers_of_the_app_are_its_own(address, site):
    answer = site.get("/own-headers")
    assert answer.headers.get_all("Referrer-Policy") == ["no-referrer"]
    assert answer.headers.get_all("X-Request-ID") == ["mine"]
    assert over_tls(address, "sealed.example.com", "/own-headers").headers.get_all("Strict-Transport-Security") == [
        "max-age=3600"
    ]


@pytest.mark.parametrize("path", ["/", "{style}", "/static/missing.css", "/media/missing", "/protected-file/a.pdf"])
def test_every_answer_has_the_headers_once(site, path):
    answer = site.get(path.format(style=seen(site.get("/"))["style"]))
    policy = "same-origin" if path == "/" else "strict-origin-when-cross-origin"
    for name, value in {"X-Content-Type-Options": "nosniff", "Referrer-Policy": policy}.items():
        assert answer.headers.get_all(name) == [value]
    assert len(answer.headers.get_all("X-Request-ID")) == 1
    assert "Strict-Transport-Security" not in answer.headers, "not over HTTP"


# Files.


def test_static_file_is_sent_as_it_was_packed(host, site):
    style = seen(site.get("/"))["style"]
    assert re.fullmatch(r"/static/probe/style\.[0-9a-f]{12}\.css", style)
    for accepted, ending in (("gzip", "gz"), ("br", "br"), ("gzip, br", "br")):
        answer = site.get(style, Accept_Encoding=accepted)
        assert answer.status == 200
        assert answer.headers["Content-Encoding"] == {"gz": "gzip", "br": "br"}[ending]
        assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
        assert answer.headers["Vary"] == "Accept-Encoding"
        size = host.file(f"/srv/django/shop/current{style}.{ending}").size
        assert len(answer.body) == size, "packed once, at the deploy"
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_parts_of_files(host, site):
    host.check_output("umask 022; printf 0123456789 > /srv/django/shop/shared/media/ten")
    style = seen(site.get("/"))["style"]
    for path in ("/media/ten", style, "/protected-file/a.pdf"):
        answer = site.get(path, Range="bytes=2-5")
        assert (answer.status, len(answer.body)) == (206, 4)
        assert answer.headers["Content-Range"].startswith("bytes 2-5/")
    assert site.get("/media/ten", Range="bytes=50-").status == 416


def test_uploads_of_a_project_that_has_them_inside_its_sources_outlive_releases(host, site):
    keep = "umask 022; echo kept > /srv/django/shop/current/src/media/kept"
    host.check_output("runuser -u shop -- sh -c %s", keep)
    assert site.get("/media/kept").text == "kept\n"
    assert host.file("/srv/django/shop/shared/media/kept").content_string == "kept\n"
    assert host.file("/srv/django/shop/shared/media").group == "www-data", "Nginx may read them"


def test_shared_folders_belong_to_the_app_and_have_what_the_sources_have(host):
    release, shared = "/srv/django/shop/current/src", "/srv/django/shop/shared"
    as_app(host, "shop", f"date >> {release}/data/counter; date >> {release}/var/log/shop.log")
    assert host.file(f"{shared}/data/default.json").content_string == "{}\n"
    for path in ("data/counter", "var/log/shop.log"):
        assert host.file(f"{shared}/{path}").user == "shop"


@pytest.mark.parametrize("path", ["/static/hand-made.txt", "/media/avatar.txt"])
def test_files_that_the_sources_have_in_these_folders_are_served(site, path):
    answer = site.get(path)
    assert (answer.status, answer.text) == (200, "of the sources\n")


def test_protected_file_is_the_apps_to_give(site, host):
    answer = site.get("/protected-file/a%20report.pdf")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/pdf")
    assert answer.body == bytes(range(200))
    assert host.file("/srv/django/shop/shared/protected/a report.pdf").group == "www-data"
    for path in ("/protected/a%20report.pdf", "/protected/", "/media/../protected/a%20report.pdf"):
        assert site.get(path).status == 404


# Links that an app makes among its uploads, which it may do while it runs.


def as_app(host, name: str, command: str) -> None:
    host.check_output("runuser -u %s -- sh -c %s", name, command)


def test_a_link_shows_no_files_of_another_app(host, site, visitors):
    as_app(host, "blog", "echo theirs > /srv/django/blog/shared/media/theirs")
    assert visitors.get("/blog/media/theirs").text == "theirs\n"
    as_app(
        host, "shop", "cd /srv/django/shop/shared/media; echo mine > mine; ln -sf mine own; ln -sf /etc/hostname host"
    )
    as_app(host, "shop", "ln -sfn /srv/django/blog/shared/media /srv/django/shop/shared/media/others")
    assert site.get("/media/own").text == "mine\n"
    for path in ("/media/host", "/media/others/theirs"):
        assert site.get(path).status == 403


def test_a_link_in_place_of_the_uploads_gives_the_app_nothing(host, site):
    """The next run sets owner and permissions of the folder as root."""
    before = host.check_output("stat -c '%U %G %a' /etc")
    as_app(host, "shop", "cd /srv/django/shop/shared; mv media media.away; ln -s /etc media")
    try:
        said = ansible("ansible-playbook", "-i", SCENARIO / "inventory.yml", "emperor.web.deploy")
        assert said["stats"]["server"]["failures"] == 1
        assert "app shop: " in json.dumps(said) and "a link to /etc that user" in json.dumps(said)
        assert host.check_output("stat -c '%U %G %a' /etc") == before
        assert site.get("/").status == 200
    finally:
        as_app(host, "shop", "cd /srv/django/shop/shared; rm media; mv media.away media")
    assert changed_by("emperor.web.deploy", SCENARIO / "inventory.yml") == 0


# An app below a path.


def test_app_below_a_path(visitors):
    answer = seen(visitors.get("/blog/show/a%20b/?q=1"))
    assert (answer["SCRIPT_NAME"], answer["PATH_INFO"]) == ("/blog", "/show/a b/")
    assert answer["url"] == f"http://{DOMAIN}/blog/show/a%20b/?q=1"
    assert answer["here"] == "/blog/"
    assert seen(visitors.get("/"))["here"] == "/"


def test_redirects_of_an_app_below_a_path_stay_there(visitors):
    assert visitors.get("/blog?x=1").headers["Location"] == "/blog/?x=1"
    assert visitors.get("/blog/moved").headers["Location"] == "/blog/"
    assert visitors.get("/blog/show/a?x=1").headers["Location"] == "/blog/show/a/?x=1", "Django adds the slash"
    assert "Path=/blog/" in visitors.get("/blog/form").headers["Set-Cookie"]
    assert visitors.get("/blogger/").status == 404


def test_static_files_of_an_app_below_a_path(host, visitors):
    style = seen(visitors.get("/blog/"))["style"]
    assert style.startswith("/blog/static/probe/style.")
    assert visitors.get(style).status == 200
    host.check_output("touch /srv/django/blog/current/static/only-here.css")
    assert visitors.get("/blog/static/only-here.css").status == 200
    assert visitors.get("/static/only-here.css").status == 404


def test_path_of_the_other_app_is_not_to_be_reached_through_dots(visitors):
    assert seen(visitors.get("/blog/../show/x/"))["SCRIPT_NAME"] == ""
    assert seen(visitors.get("/blog/%2e%2e/show/x/"))["SCRIPT_NAME"] == ""


# What does not go well.


@pytest.fixture
def dead_shop(host):
    host.check_output("systemctl stop uwsgi-emperor@shop")
    yield
    host.check_output("systemctl start uwsgi-emperor@shop")


def test_app_that_is_dead_has_a_page(dead_shop, visitors, address):
    answer = visitors.get("/anything")
    assert answer.status == 502
    assert answer.text == (SCENARIO / "error.html").read_text()
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert seen(visitors.get("/blog/"))["here"] == "/blog/", "the other app of the visitors serves on"
    assert visitors.get("/static/probe/style.css").status == 200


def test_site_is_back(site):
    assert site.wait().status == 200


def test_error_page_that_is_not_ones_own(host, visitors):
    host.check_output("systemctl stop uwsgi-emperor@blog")
    try:
        answer = visitors.get("/blog/")
        assert answer.status == 502
        assert "This site does not answer at the moment" in answer.text
        assert "nginx" not in answer.text
    finally:
        host.check_output("systemctl start uwsgi-emperor@blog")
    assert visitors.wait("/blog/").status == 200


def test_app_that_does_not_answer_in_time_has_a_page(host, visitors):
    """All of its processes stand still, so that uWSGI's own harakiri cannot come first."""
    host.check_output("systemctl kill --signal=STOP uwsgi-emperor@blog")
    try:
        began = time.monotonic()
        answer = visitors.get("/blog/")
        assert answer.status == 504
        assert time.monotonic() - began > 9, "its harakiri is 5 s, and 5 more are for the answer to arrive"
        assert "This site does not answer at the moment" in answer.text
    finally:
        host.check_output("systemctl kill --signal=CONT uwsgi-emperor@blog")
    assert visitors.wait("/blog/").status == 200


def test_request_that_takes_longer_than_harakiri_is_ended_and_the_next_one_is_good(address):
    tuned = Site(address, "tuned.example.com")
    began = time.monotonic()
    answer = tuned.get("/slow?seconds=30")
    seconds = time.monotonic() - began
    print(f"status {answer.status} after {seconds:.1f} s")
    assert answer.status == 502
    assert 1.5 < seconds < 6.5, "its harakiri is 2 s, Nginx waits for 7, and the page itself takes 30"
    assert "This site does not answer at the moment" in answer.text
    assert seen(tuned.get("/"))["here"] == "/"
    assert tuned.get("/slow?seconds=0.2").text == "slow"


def test_closing_one_app_of_a_site_leaves_the_other(host, visitors, stranger):
    host.check_output("touch /srv/django/blog/maintenance")
    try:
        answer = visitors.get("/blog/")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "300")
        assert "Back soon" in answer.text
        assert visitors.get("/").status == 200
        assert stranger(DOMAIN, "/blog/", "127.0.0.1")[0] == 200, "the host reaches it, for its own checks"
    finally:
        host.check_output("rm /srv/django/blog/maintenance")


@pytest.mark.parametrize("path", ["/", "/blog/"])
def test_websocket_is_refused_clearly(visitors, path):
    answer = visitors.get(path, Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Version="13")
    assert answer.status == 501
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "takes no WebSocket connections" in answer.text


def test_rate_limit_counts_one_visitor_of_one_app(site, stranger):
    def statuses(path: str, visitor: str) -> list[int]:
        return [site.get(path, X_Forwarded_For=visitor).status for _number in range(8)]

    one, other = (f"2001:db8::{secrets.token_hex(2)}" for _number in range(2))
    assert statuses("/blog/", one) == [200] * 6 + [429] * 2
    assert statuses("/blog/", other)[:6] == [200] * 6
    assert statuses("/", one) == [200] * 8, "the other app"
    assert statuses("/blog/static/probe/style.css", one) == [200] * 8
    assert [stranger(DOMAIN, "/blog/", "127.0.0.1")[0] for _number in range(8)] == [200] * 8, "deploys ask from here"


def test_directives_and_templates_of_ones_own(host, site, stranger):
    assert site.get("/brief").status == 204
    assert site.request("GET", "/brief", b"", Content_Length="2000").status == 413
    command = "python3 -c %s"
    code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8089/').read().decode())"
    assert host.check_output(command, code).strip() == "own template of sealed"


# Status, log, protocols.


def test_status_is_for_the_host_itself(address, stranger):
    status, _headers, body = stranger("127.0.0.1", "/nginx_status", "127.0.0.1")
    assert status == 200
    assert body.startswith("Active connections:")
    assert stranger(address, "/nginx_status")[0] == 403
    assert Site(address, address).get("/nginx_status").status == 403


def test_log_is_json_whatever_is_in_a_request(host, site):
    agent = 'a "quoted" \\ agent\twith a tab'
    assert site.get("/show/%22/?q=%22", User_Agent=agent, X_Forwarded_For="203.0.113.77").status == 200
    lines = [json.loads(line) for line in host.file("/var/log/nginx/access.log").content_string.splitlines()]
    line = next(line for line in lines if line["user_agent"] == agent)
    release = seen(site.get("/"))["release"]
    expected = {"status": "200", "host": DOMAIN, "scheme": "http", "method": "GET", "uri": "/show/%22/?q=%22"}
    expected |= {"remote_addr": "203.0.113.77", "release": release, "protocol": "HTTP/1.1"}
    assert expected.items() <= line.items()
    assert line["bytes"] > 100 and float(line["upstream_seconds"]) <= line["seconds"] + 0.01
    mine = _probation.parse(json.dumps(line))
    assert mine == _probation.Request(200, "unix:/srv/django/shop/current/live.sock", release), (
        "a probation can read it"
    )


def test_log_is_rotated(host, site):
    assert host.service("logrotate.timer").is_enabled
    assert site.get("/show/before-rotation/").status == 200
    host.check_output("logrotate --force /etc/logrotate.d/nginx")
    assert site.get("/show/after-rotation/").status == 200
    log, before = (host.file(f"/var/log/nginx/access.log{ending}") for ending in ("", ".1"))
    assert "after-rotation" in log.content_string and "before-rotation" not in log.content_string
    assert "before-rotation" in before.content_string
    assert (log.mode, log.user, log.group) == (0o640, "www-data", "adm")


def test_http3_is_offered_where_nginx_has_it(host, address):
    offered = over_tls(address, "sealed.example.com").headers["Alt-Svc"]
    assert Site(address, DOMAIN).get("/").headers["Alt-Svc"] is None, "not over HTTP"
    version = host.run("nginx -V").stderr
    if "--with-http_v3_module" not in version:
        assert offered is None
        pytest.skip(f"{version.splitlines()[0]} is built without HTTP/3")
    assert offered == 'h3=":443"; ma=86400'
    host.check_output("apt-get install --yes --no-install-recommends curl")
    asked = host.run(
        "curl --http3-only --insecure --silent --output /dev/null --write-out '%{http_version} %{http_code}' "
        "--resolve sealed.example.com:443:127.0.0.1 https://sealed.example.com/"
    )
    if "the installed libcurl version does not support this" in asked.stderr:
        pytest.skip("curl is built without HTTP/3")
    assert asked.stdout == "3 200", asked.stderr


# Changes.


def test_another_setting_of_a_site_restarts_no_app(host, visitors, tmp_path):
    def change(size: str) -> int:
        inventory = (SCENARIO / "inventory.yml").read_text()
        text = inventory.replace(
            "protected_url: /protected/", f"protected_url: /protected/\n          client_max_body_size: {size}"
        )
        assert text != inventory
        (tmp_path / "inventory.yml").write_text(text)
        return changed_by("emperor.web.deploy", tmp_path / "inventory.yml")

    before = {path: seen(visitors.get(path)) for path in ("/", "/blog/")}
    assert visitors.request("POST", "/", bytes(2 << 20)).status == 403, "Django's answer"
    assert change("1m") == 1, "Nginx's files, and nothing else of a second run"
    assert visitors.request("POST", "/", bytes(2 << 20)).status == 413
    for path, known in before.items():
        now = seen(visitors.get(path))
        assert (now["pid"], now["release"]) == (known["pid"], known["release"])


def test_gixy_finds_nothing(gixy_says):
    """All variants of a site are in what Nginx has read."""
    assert gixy_says == ""


# uWSGI's options by choice.


@pytest.fixture
def awake(host) -> Callable[..., list[dict]]:
    """Gets the workers of an app that run; of the one with such options unless told otherwise."""

    def get(name: str = "tuned") -> list[dict]:
        release = host.check_output(f"basename $(readlink /srv/django/{name}/current)")
        found = workers(host, name, release)
        assert len(found) == 2
        return [worker for worker in found if worker["status"] != "cheap"]

    return get


def test_threads_and_offloading_are_in_force(host, awake):
    plain, tuned = (awake(name)[0] for name in ("shop", "tuned"))
    assert (len(plain["cores"]), len(tuned["cores"])) == (1, 2)
    threads = [host.check_output(f"ls /proc/{worker['pid']}/task").split() for worker in (plain, tuned)]
    assert [len(found) for found in threads] == [1, 3], "one for each request at a time, and one that sends"


def test_workers_come_when_there_is_much_to_do_and_go_when_there_is_not(address, awake):
    tuned = Site(address, "tuned.example.com")
    wait_until("one worker is enough", lambda: len(awake()) == 1, 120)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(tuned.get, "/slow?seconds=0.5") for _number in range(100)]
        wait_until("a second worker is awake", lambda: len(awake()) == 2)
        assert {answer.result().status for answer in answers} == {200}
    wait_until("one worker is enough", lambda: len(awake()) == 1, 120)


def test_every_process_is_well(host):
    assert host.check_output("systemctl --failed --no-legend --plain") == "", HOST
    errors = host.file("/var/log/nginx/error.log").content_string
    assert not re.search(r"\[(emerg|alert|crit)\]", errors), errors[-2000:]
