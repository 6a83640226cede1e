"""The site as visitors, its own processes and the operator meet it, after a restart of the whole host."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import re
import urllib.parse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

DOMAIN = "guestbook.example.com"
ROOT = "/srv/django/guestbook"
TRICKY = "100% %h $(id) `id` ${HOME} 'single' \"double\" # hash ; semicolon \\ é ü 한글\nsecond line "
TOKEN = "molecule-token-that-nobody-may-see"


@pytest.fixture(scope="module", autouse=True)
def _back(address):
    """The host was restarted before these tests; nothing but its own services may bring the site back."""
    from conftest import Site

    assert Site(address, DOMAIN).wait().status == 200


def test_page(site):
    answer = site.get("/")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Sign the guestbook" in answer.text
    assert answer.headers["Server"] == "nginx", "the version is nobody's business"


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/static/admin/css/base.css", "/static/missing.css", "/media/missing"]
)
def test_headers_come_once_with_every_answer(site, path):
    """Where Django answers, the first two are its own."""
    answer = site.get(path)
    policy = "same-origin" if path in ("/", "/healthz") else "strict-origin-when-cross-origin"
    for name, value in {"X-Content-Type-Options": "nosniff", "Referrer-Policy": policy}.items():
        assert answer.headers.get_all(name) == [value]
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
    assert "Strict-Transport-Security" not in answer.headers, "not without TLS"


def test_page_is_packed_for_who_takes_that(site):
    plain, packed = site.get("/"), site.get("/", Accept_Encoding="gzip")
    assert plain.headers["Content-Encoding"] is None
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Sign the guestbook" in gzip.decompress(packed.body).decode()
    assert len(packed.body) < len(plain.body)
    for answer in (plain, packed):
        assert "Accept-Encoding" in ", ".join(answer.headers.get_all("Vary")), "or a cache gives it to others too"


def test_files_that_never_change_are_kept_open(host):
    assert re.search(r"^ +open_file_cache max=\d+ ", host.check_output("nginx -T 2>/dev/null"), re.MULTILINE)


def test_nothing_is_believed_where_no_proxy_is_trusted(host, site):
    answer = site.get("/", X_Forwarded_For="203.0.113.9", X_Request_ID="forged")
    assert answer.headers["X-Request-ID"] != "forged"
    lines = host.file("/var/log/nginx/access.log").content_string.splitlines()
    (line,) = [line for line in lines if answer.headers["X-Request-ID"] in line]
    assert not line.startswith("203.0.113.9")


def test_gixy_finds_nothing(gixy_says):
    assert gixy_says == ""


def test_second_domain(address):
    from conftest import Site

    assert Site(address, "www.guestbook.example.com").get("/").status == 200


def test_stylesheet_of_the_admin(site):
    answer = site.get("/static/admin/css/base.css")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache", "its content may change under this name"


def test_hashed_stylesheet_may_be_kept_for_ever(host, site):
    path = re.search(r'href="(/static/entries/style\.[0-9a-f]{12}\.css)"', site.get("/").text).group(1)
    answer = site.get(path)
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert site.get(path, If_None_Match=answer.headers["ETag"]).status == 304
    for encoding, suffix in (("gzip", "gz"), ("zstd", "zst")):
        packed = site.get(path, Accept_Encoding=encoding)
        if encoding == "zstd" and not has_zstd(host):
            assert packed.headers["Content-Encoding"] is None
            continue
        assert packed.headers["Content-Encoding"] == encoding
        digest = host.check_output(f"sha256sum {ROOT}/current{path}.{suffix}").split()[0]
        assert hashlib.sha256(packed.body).hexdigest() == digest, "packed once, at the deploy, not for each visitor"


def has_zstd(host) -> bool:
    """The inventory asks for it where there is a module for it, which is on forky alone."""
    return "forky" in host.file("/etc/os-release").content_string


def test_what_collectstatic_remembers_is_not_served(host, site):
    hidden = host.check_output(f"find {ROOT}/current/static/ -name '.*' -type f -printf '%f\n'").split()
    assert hidden
    assert {site.get(f"/static/{name}").status for name in hidden} <= {403, 404}


def test_static_files_end_at_their_folder(site):
    assert site.get("/static/../shared/db.sqlite3").status in (400, 404)
    assert site.get("/static/%2e%2e/%2e%2e/env").status in (400, 404)
    assert site.get("/static/missing.css").status == 404


@pytest.mark.parametrize("name", ["é ü 한글.txt", "100% sure #1.txt"])
def test_upload_comes_back(site, name):
    from conftest import post_entry

    content = "Grüße aus 서울".encode()
    posted = post_entry(site, f"with {name}", name, content)
    assert posted.status == 302, posted.text
    links = re.findall(r'href="(/media/uploads/[^"]+)"', site.get("/").text)
    stem = name.rpartition(".")[0].replace(" ", "_").replace("%", "").replace("#", "")
    link = next(link for link in links if stem in urllib.parse.unquote(link))
    answer = site.get(link)
    assert answer.status == 200
    assert answer.body == content
    assert "sandbox" in answer.headers["Content-Security-Policy"], "what visitors upload must not act as the site"


def test_upload_of_more_than_a_megabyte(site):
    status = site.request("POST", "/", b"x" * (5 << 20), Content_Type="text/plain").status
    assert status == 403, "Django's CSRF answer, not 413"
    status = site.request("POST", "/", b"", Content_Length=str(21 << 20)).status
    assert status == 413


def test_upload_that_no_view_reads_has_its_answer(site):
    """Without uWSGI's post-buffering, about one of seven of these was a 502."""

    def upload(_number: int) -> int:
        return site.request("POST", "/", b"x" * 1_000_000, Content_Type="text/plain").status

    with ThreadPoolExecutor(4) as pool:
        statuses = Counter(pool.map(upload, range(200)))
    assert statuses == {403: 200}


def test_large_headers_reach_the_app(site):
    assert site.get("/release", Cookie="filler=" + "x" * 7000).status == 200


@pytest.mark.parametrize("domain", ["evil.example.com", "guestbook.example.com.evil.com", "127.0.0.1"])
def test_unknown_host_gets_no_app(address, domain):
    from conftest import Site

    with pytest.raises(http.client.RemoteDisconnected):
        Site(address, domain).get("/")


def test_spoofed_headers_do_not_reach_django(site):
    answer = site.get("/admin/", X_Forwarded_Proto="https", X_Forwarded_Host="evil.example.com")
    assert answer.status == 302
    assert answer.headers["Location"].startswith("/admin/login/")


def test_worker_is_the_app_and_never_root(host, site):
    running = json.loads(site.get("/release").text)
    user = host.user("guestbook")
    assert (running["uid"], running["gid"]) == (user.uid, user.gid)
    assert user.uid != 0 and user.shell == "/usr/sbin/nologin"
    group = host.check_output("systemctl show --property=ControlGroup --value uwsgi-emperor@guestbook")
    pids = host.check_output(f"cat '/sys/fs/cgroup{group}/cgroup.procs'").split()
    owners = {host.check_output(f"stat -c %U:%G /proc/{pid}") for pid in pids}
    assert len(pids) >= 6, "the Emperor, a master and four workers"
    assert owners == {"guestbook:guestbook"}


def test_a_worker_may_open_more_files_than_its_emperor(host):
    """The Emperor closes each one that it may have before it starts a vassal, which takes time."""
    emperor = host.check_output("systemctl show --property=MainPID --value uwsgi-emperor@guestbook")
    group = host.check_output("systemctl show --property=ControlGroup --value uwsgi-emperor@guestbook")
    for pid in host.check_output(f"cat '/sys/fs/cgroup{group}/cgroup.procs'").split():
        soft, hard, _unit = host.check_output(f"sed -n 's/^Max open files *//p' /proc/{pid}/limits").split()
        assert int(hard) > 1024
        assert soft == ("1024" if pid == emperor else hard)


def test_app_is_only_in_its_own_group(host):
    assert host.user("guestbook").groups == ["guestbook"]


def test_encoding_inside_a_worker(site):
    running = json.loads(site.get("/release").text)
    assert running["encoding"] == "utf-8"
    assert running["locale"] == "C.UTF-8"
    assert running["lc_ctype"] == "C.UTF-8"


def test_served_release_is_the_current_one(host, site):
    current = host.file(f"{ROOT}/current").linked_to
    assert json.loads(site.get("/release").text)["release"] == current.rpartition("/")[2]
    assert site.get("/").headers["X-Emperor-Release"] is None, "told to the host itself only"


@pytest.mark.parametrize(
    ("path", "mode", "owner", "group"),
    [
        (f"{ROOT}/secret_key", 0o600, "root", "root"),
        (f"{ROOT}/current/env", 0o640, "root", "guestbook"),
        (f"{ROOT}/current/src", 0o750, "root", "guestbook"),
        (f"{ROOT}/current/src/manage.py", 0o750, "root", "guestbook"),
        (f"{ROOT}/current/src/requirements.txt", 0o640, "root", "guestbook"),
        (f"{ROOT}/current/venv/", 0o750, "root", "guestbook"),
        (f"{ROOT}/shared", 0o711, "guestbook", "guestbook"),
        (f"{ROOT}/shared/db.sqlite3", 0o640, "guestbook", "guestbook"),
        (f"{ROOT}/shared/media", 0o2750, "guestbook", "www-data"),
        (f"{ROOT}/releases.jsonl", 0o640, "root", "root"),
        ("/etc/uwsgi/emperor", 0o755, "root", "root"),
        ("/etc/uwsgi/emperor/guestbook", 0o750, "root", "guestbook"),
        ("/run/emperor/guestbook", 0o2750, "guestbook", "www-data"),
    ],
)
def test_modes(host, path, mode, owner, group):
    assert host.check_output(f"stat -L -c '%a %U %G' {path}").split() == [f"{mode:o}", owner, group]


def test_socket(host):
    socket = host.check_output(f"readlink -f {ROOT}/current/live.sock")
    assert host.check_output(f"stat -c '%F %a %U %G' {socket}") == "socket 660 guestbook www-data"


def test_app_cannot_change_its_code_or_its_vassal(host):
    for path in (f"{ROOT}/current/src", f"{ROOT}/current/venv", f"{ROOT}/releases", "/etc/uwsgi/emperor/guestbook"):
        assert host.run(f"runuser -u guestbook -- touch {path}/planted").rc != 0, path


ASK_NEEDRESTART = """
our %nrconf = (override_rc => { qr(^dbus) => 0 });
my $file = shift;
eval do { local (@ARGV, $/) = $file; <> };
die $@ if $@;
for my $unit (@ARGV) {
    my ($found) = grep { $unit =~ /$_/ } sort keys %{$nrconf{override_rc}};
    print defined $found ? $nrconf{override_rc}{$found} : "restarted", "\\n";
}
"""


def test_an_upgrade_of_libraries_restarts_no_app(host):
    """Ubuntu's needrestart would; what it reads is evaluated as it does that."""
    units = {
        "uwsgi-emperor@guestbook.service": "0",
        "django@guestbook:worker.service": "0",
        "dbus.service": "0",
        "nginx.service": "restarted",
        "django.service": "restarted",
        "my-django@x.service": "restarted",
    }
    path = "/etc/needrestart/conf.d/emperor.conf"
    answers = host.check_output(f"perl -we %s {path} {' '.join(units)}", ASK_NEEDRESTART).split()
    assert dict(zip(units, answers, strict=True)) == units
    assert host.check_output(f"stat -c '%a %U %G' {path}") == "644 root root"


def test_migrations_are_applied(host):
    shown = host.check_output("guestbook-manage showmigrations --plan")
    assert "[X]  entries.0008_entry_message_not_empty" in shown
    assert "[ ]" not in shown


EMPEROR = "uwsgi-emperor@guestbook.service"


def exposed(line: str) -> str:
    """The setting, or the value of it, for which systemd's judgement takes points; empty where it takes none."""
    found = re.match(r"\W*([\w=~(|)/]+=\S*) .* [0-9.]+$", line)
    name, _tilde, value = (found[1] if found else "").partition("=~")
    return re.findall(r"\w+", value.replace("(", "") or name)[0] if found else ""


def test_emperor_is_hardened_and_its_unit_says_why_not_more(host):
    *lines, last = host.check_output(f"systemd-analyze security --no-pager {EMPEROR}").splitlines()
    print(last)
    assert float(last.split(": ")[1].split()[0]) <= 1.5
    text = host.check_output(f"systemctl cat {EMPEROR}")
    reasons = re.findall(r"^# (\w+(?:=\w+)?(?:, \w+)*): \w.{20,}", text, re.MULTILINE)
    explained = {re.match(r"\w+", name)[0] for names in reasons for name in names.split(", ")}
    points = {exposed(line) for line in lines} - {""}
    assert len(points) > 5, lines
    assert points - explained == set()


def test_emperor_starts_after_what_apps_need(host):
    after = set(host.check_output(f"systemctl show --property=After --value {EMPEROR}").split())
    services = ("postgresql", "mariadb", "mysql", "redis-server", "valkey-server", "rabbitmq-server", "memcached")
    assert {f"{name}.service" for name in services} - after == set()


@pytest.mark.parametrize("service", ["nginx", "uwsgi-emperor@guestbook"])
def test_service_is_enabled_and_comes_back(host, site, service):
    assert host.service(service).is_enabled
    assert host.service(service).is_running
    host.check_output(f"systemctl restart {service}")
    assert site.wait().status == 200, host.check_output(f"journalctl --unit {service} --lines 50")


def test_environment_arrives_unchanged(host):
    """In manage.py; that it does in a worker is shown by the scenario sources."""
    code = "import os, json; print(json.dumps([os.environ['TRICKY'], os.getcwd(), os.getuid()]))"
    read = host.check_output("guestbook-manage shell -v 0 -c %s", code)
    value, folder, uid = json.loads(read.splitlines()[-1])
    assert value == TRICKY
    assert folder == host.check_output(f"readlink -f {ROOT}/current/src")
    assert uid == host.user("guestbook").uid


def test_secrets_are_nowhere_to_be_seen(host):
    key = host.file(f"{ROOT}/secret_key").content_string.strip()
    assert len(key) >= 50
    journal = host.check_output("journalctl --no-pager --all --output verbose")
    assert "emperor.web.django_release" in journal, "the journal does not reach back to the deploy"
    for secret in (key, TOKEN):
        assert secret in host.file(f"{ROOT}/current/env").content_string
        assert secret not in journal
        commands = host.run("cat /proc/[0-9]*/cmdline").stdout
        assert secret not in commands
        # The pattern comes from a file, so that the search is not what gives the secret away. One readable copy has to
        # be found, or the search is none.
        host.check_output("umask 077; printf %s > /root/pattern; install -m 644 /root/pattern /var/tmp/copy", secret)
        everybody = "find /etc /run /srv /tmp /usr/local /var -type f -perm -004 -print0"
        found = host.run(f"{everybody} | xargs -0 grep -lF -f /root/pattern; rm /root/pattern /var/tmp/copy").stdout
        assert found.split() == ["/var/tmp/copy"]


def test_history_names_what_went_live(host):
    entry = json.loads(host.file(f"{ROOT}/releases.jsonl").content_string.splitlines()[-1])
    assert entry["result"] == "live"
    assert entry["release"] == host.file(f"{ROOT}/current").linked_to.rpartition("/")[2]
    assert set(entry["seconds"]) >= {"start", "switch", "confirm"}


def test_nothing_failed(host):
    assert host.check_output("systemctl --failed --no-legend --plain") == ""
