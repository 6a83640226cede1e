"""Whatever is wrong with a set of files, the set before serves, the next run is red again, and Nginx can restart."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Site, ansible, run_module

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
WORK = "/etc/.nginx.emperor"


def configure(files: list[dict], *flags: str, environment: dict[str, str] | None = None, **options) -> dict:
    """Run the module once; what it returned."""
    return run_module(INVENTORY, "nginx_config", {"files": files} | options, *flags, **(environment or {}))


# The one task of the role that changes files.
TASK = "emperor.web.nginx : Configure Nginx and the sites"


def run_role(*flags: str, **variables) -> dict[str, dict]:
    """Run the role once; what each task that changed something, or would, or failed, returned."""
    command = ["ansible-playbook", "-i", INVENTORY, SCENARIO / "converge.yml", *flags]
    (play,) = ansible(*command, "--extra-vars", json.dumps(variables))["plays"]
    done = [(task["task"]["name"], task["hosts"]["server"]) for task in play["tasks"]]
    return {name: result for name, result in done if result.get("changed") or result.get("failed")}


def site(number: int, extra: str = "", listen: str = "80", name: str = "") -> dict[str, str]:
    name = name or f"s{number}.example.com"
    text = f"server {{\n    listen {listen};\n    server_name {name};\n    return 200 'site {number}';\n{extra}}}\n"
    return {"path": f"conf.d/site-{number:03}.conf", "content": text}


SITES = [site(number) for number in range(100)]


def with_bad(bad: dict[str, str]) -> list[dict]:
    """All the sites, one of them changed, and one more that nothing is wrong with."""
    return [bad if good["path"] == bad["path"] else good for good in SITES] + [site(100)]


def says(address: str, number: int) -> str:
    return Site(address, f"s{number}.example.com").get("/").text


def serves(address: str) -> bool:
    return [says(address, number) for number in (0, 42, 99)] == ["site 0", "site 42", "site 99"]


def on_disk(host, folder: str = "/etc/nginx") -> str:
    """All files below a folder with what they are and what is in them."""
    find = f"cd {folder}/ && find . -not -type d -printf '%p %M %U %G %l\\n' -type f -exec sha256sum {{}} + | sort"
    return host.check_output(find)


@pytest.fixture(scope="module")
def live(host, address) -> list[dict]:
    """A hundred sites, by one task."""
    assert configure(SITES, "--check")["changed"]
    done = configure(SITES)
    assert (done["changed"], len(done["files"]), done["atomic"]) == (True, 100, True), done
    again = configure(SITES)
    assert (again["changed"], again["diff"]) == (False, [])
    assert serves(address)
    return SITES


# What is wrong, and takes it away again.


@contextmanager
def nothing(_host):
    yield


@contextmanager
def key_at_home(host):
    """A key that the test reads and the service does not, because its unit keeps it out of home folders."""
    key = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x -keyout /home/x.pem -out /home/x.pem"
    host.check_output(key)
    yield
    host.check_output("rm /home/x.pem")


@contextmanager
def taken_port(host, port: int = 8081):
    host.check_output(f"systemd-run --unit=taker --collect python3 -m http.server {port}")
    deadline = time.monotonic() + 20
    while not host.socket(f"tcp://0.0.0.0:{port}").is_listening:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield
    host.check_output("systemctl stop taker")


@contextmanager
def read_only_folder(host):
    host.check_output("mount --bind /etc/nginx/conf.d /etc/nginx/conf.d")
    host.check_output("mount -o remount,bind,ro /etc/nginx/conf.d")
    yield
    host.check_output("umount /etc/nginx/conf.d")


@contextmanager
def full_disk(host):
    """The folder is a link to a file system of its own, that has no room left."""
    host.check_output("mkdir -p /srv/small && mount -t tmpfs -o size=2m none /srv/small")
    host.check_output("cp -a /etc/nginx /srv/small/ && mv /etc/nginx /etc/nginx.before")
    host.check_output("ln -s /srv/small/nginx /etc/nginx && systemctl restart nginx")
    host.run("dd if=/dev/zero of=/srv/small/fill bs=4k")
    yield
    host.check_output("rm /srv/small/fill")
    done = configure([site(number, "    # changed\n") for number in range(100)])  # with room it goes on
    assert (done["changed"], done["atomic"]) == (True, True)
    assert host.check_output("ls -A /srv/small") == "nginx"
    host.check_output(
        "rm /etc/nginx && mv /etc/nginx.before /etc/nginx && systemctl restart nginx && umount /srv/small"
    )


TLS = "    ssl_certificate {0};\n    ssl_certificate_key {0};\n"
FAULTS = {
    "bad directive": (
        nothing,
        with_bad(site(42, "    retrun 200;\n")),
        ['unknown directive "retrun" in /etc/nginx/conf.d/site-042.conf:5'],
    ),
    "unknown variable": (
        nothing,
        with_bad(site(42, "    add_header X $nosuch;\n")),
        ['unknown "nosuch" variable'],
    ),
    "missing certificate": (
        nothing,
        with_bad(site(42, TLS.format("/etc/nginx/tls/none.pem"), "443 ssl")),
        ['cannot load certificate "/etc/nginx/tls/none.pem"', "No such file"],
    ),
    "duplicate server name": (
        nothing,
        with_bad(site(42, name="s7.example.com")),
        [
            'conflicting server name "s7.example.com" on 0.0.0.0:80',
            "s7.example.com is in conf.d/site-007.conf, conf.d/site-042.conf",
        ],
    ),
    "key the service may not read": (
        key_at_home,
        with_bad(site(42, TLS.format("/home/x.pem"), "443 ssl")),
        ["the reload failed, the files before are back"],
    ),
    "port taken": (
        taken_port,
        with_bad(site(42, listen="8081")),
        ["did not start new workers", "a port in use"],
    ),
    "folder that cannot be written": (
        read_only_folder,
        with_bad(site(42, "    # changed\n")),
        ["the files before are in place", "Read-only file system"],
    ),
    "full disk": (
        full_disk,
        with_bad(site(42, "    # changed\n" * 100)),
        ["the files before are in place", "No space left on device", "KB", "Make room there"],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_leaves_the_set_before(host, address, live, fault):
    provoke, files, parts = FAULTS[fault]
    before = on_disk(host)
    with provoke(host):
        for _run in range(2):
            done = configure(files)
            assert done.get("failed"), done
            assert [part for part in parts if part not in done["msg"]] == [], done["msg"]
            assert on_disk(host) == before
            assert serves(address)
        assert host.run("nginx -t -q").rc == 0
        host.check_output("systemctl restart nginx")
        assert serves(address)
    assert on_disk(host) == before
    assert not host.file(WORK).exists


def test_a_mended_set_is_taken_after_a_fault(host, address, live):
    """What was tried before has left nothing that is in the way."""
    assert configure([*SITES, site(100)])["files"] == ["conf.d/site-100.conf"]
    assert says(address, 100) == "site 100"
    done = configure(SITES, owns=["conf.d"])
    assert done["files"] == ["conf.d/site-100.conf"]
    assert not configure(SITES, owns=["conf.d"])["changed"]


# The service.


def stopped(host, service: str = "nginx") -> None:
    host.check_output(f"systemctl stop {service}")
    assert not host.service(service).is_running


def test_nginx_that_was_stopped_and_disabled_is_repaired_by_the_next_run(host, address, live):
    host.check_output("systemctl disable --now nginx")
    shown = run_role("--check", "--diff")
    assert not host.service("nginx").is_running
    assert not host.service("nginx").is_enabled
    done = run_role("--diff")
    assert host.service("nginx").is_running
    assert host.service("nginx").is_enabled
    assert serves(address)
    for results in (shown, done):
        assert list(results) == [TASK], results
        (result,) = results.values()
        assert (result["files"], result["service_changes"]) == ([], ["enabled", "started"])
        assert [entry["before"] for entry in result["diff"]] == ["not enabled\nnot started\n"]
    assert run_role() == {}


def test_a_stopped_nginx_starts_with_the_new_files(host, address, live):
    stopped(host)
    done = configure([*SITES, site(100)], service="nginx")
    assert (done["files"], done["service_changes"]) == (["conf.d/site-100.conf"], ["started"])
    assert says(address, 100) == "site 100"
    done = configure(SITES, owns=["conf.d"], service="nginx")  # it runs, so it is reloaded
    assert (done["files"], done["service_changes"]) == (["conf.d/site-100.conf"], [])
    assert serves(address)


def test_a_stopped_nginx_runs_with_the_files_before_where_the_new_ones_want_a_taken_port(host, address, live):
    before = on_disk(host)
    with taken_port(host):
        for _run in range(2):
            stopped(host)
            done = configure(with_bad(site(42, listen="8081")), service="nginx")
            assert "did not start with these files; those before are back, and it runs with them" in done["msg"]
            assert done["msg"].count("bind() to 0.0.0.0:8081 failed (98") == 1, done["msg"]
            assert "ss -ltnup shows" in done["msg"]
            assert on_disk(host) == before
            assert serves(address)
    assert not host.file(WORK).exists


def test_a_stopped_nginx_whose_own_port_is_taken_keeps_the_files_before(host, address, live):
    before = on_disk(host)
    stopped(host)
    with taken_port(host, 80):
        done = configure([*SITES, site(100)], service="nginx")
        assert "those before are back, and it does not start with them either" in done["msg"]
        done = configure(SITES, service="nginx")
        assert done["msg"].startswith("nginx did not start. Its last lines:\n")
        assert "bind() to 0.0.0.0:80 failed (98" in done["msg"]
        assert on_disk(host) == before
    assert configure(SITES, service="nginx")["service_changes"] == ["started"]
    assert serves(address)


def test_the_role_mends_the_site_that_keeps_a_stopped_nginx_from_starting(host, address, live):
    """All files have to be in place before the start, those of the sites among them."""
    before = on_disk(host)
    shop = {"name": "shop", "domains": ["shop.example.com"], "root": "/srv/shop"}
    assert list(run_role(nginx_sites=[shop], nginx_listen=["80", "8081"])) == [TASK]
    stopped(host)
    with taken_port(host):
        failed = run_role(nginx_sites=[shop], nginx_listen=["80", "8081"])
        assert list(failed) == [TASK]
        assert "bind() to 0.0.0.0:8081 failed (98" in failed[TASK]["msg"]
        done = run_role(nginx_sites=[shop], nginx_listen=["80"])
    assert list(done) == [TASK]
    assert done[TASK]["service_changes"] == ["started"]
    assert serves(address)
    run_role(nginx_sites=[{"name": "shop", "state": "absent"}])
    assert on_disk(host) == before
    assert run_role() == {}


def test_a_masked_nginx_is_refused(host, live):
    before = on_disk(host)
    host.check_output("systemctl mask nginx")
    try:
        for flags in (["--check"], []):
            done = configure([*SITES, site(100)], *flags, service="nginx")
            assert "the service nginx is masked" in done["msg"]
            assert "systemctl unmask nginx" in done["msg"]
            assert on_disk(host) == before
    finally:
        host.check_output("systemctl unmask nginx")
    assert not configure(SITES, service="nginx")["changed"]


def test_a_service_that_systemd_does_not_know_is_refused(host, live):
    assert "systemd knows no service ngnix; nothing was changed" in configure(SITES, service="ngnix")["msg"]


# Files by hand.


def test_an_edit_by_hand_is_shown_and_taken_back(host, address, live):
    host.check_output("sed -i 's/site 7/by hand/' /etc/nginx/conf.d/site-007.conf && systemctl reload nginx")
    shown = configure(SITES, "--check", "--diff")
    assert shown["files"] == ["conf.d/site-007.conf"]
    assert "return 200 'by hand';" in shown["diff"][0]["before"]
    assert "return 200 'site 7';" in shown["diff"][0]["after"]
    assert configure(SITES)["diff"] == shown["diff"]
    assert says(address, 7) == "site 7"


def test_foreign_files_stay_unless_the_folder_is_owned(host, address, live):
    host.check_output("mkdir -p /etc/nginx/mine && echo '# by hand' > /etc/nginx/mine/snippet")
    host.check_output("echo '# by hand' > /etc/nginx/conf.d/mine.conf")
    host.check_output("ln -s ../mine/snippet /etc/nginx/conf.d/link.conf")
    assert not configure(SITES)["changed"]
    assert host.file("/etc/nginx/conf.d/mine.conf").exists
    shown = configure(SITES, "--check", "--diff", owns=["conf.d"])
    assert {entry["after_header"] for entry in shown["diff"]} == {
        "conf.d/mine.conf (absent)",
        "conf.d/link.conf (absent)",
    }
    assert host.file("/etc/nginx/conf.d/link.conf").is_symlink
    done = configure(SITES, owns=["conf.d"])
    assert (done["diff"], done["atomic"]) == (shown["diff"], True)
    assert host.check_output("ls /etc/nginx/conf.d | wc -l") == "100"
    assert host.file("/etc/nginx/mine/snippet").content_string == "# by hand\n"
    assert serves(address)


# Runs that are killed, and runs at the same time.


def of_side(side: str) -> list[dict]:
    """Pairs of an upstream and a site that uses it; the other side has them in each other's file."""
    files = []
    for number in range(10):
        upstream = f"upstream k{number} {{ server 127.0.0.1:9; }}\n"
        page = f"location / {{ return 200 '{side}'; }} location /up {{ proxy_pass http://k{number}; }}"
        server = f"server {{ listen 80; server_name k{number}.example.com; {page} }}\n"
        contents = (upstream, server) if side == "A" else (server, upstream)
        files += [
            {"path": f"conf.d/k{number}-{part}.conf", "content": content}
            for part, content in zip(("one", "two"), contents, strict=True)
        ]
    return files


@pytest.fixture(scope="module")
def payloads(host, live) -> str:
    """The module with the arguments of each side, as Ansible leaves it on the host when told to."""
    keep = {"ANSIBLE_KEEP_REMOTE_FILES": "1", "ANSIBLE_PIPELINING": "0"}
    for side in "AB":
        done = configure(of_side(side), environment=keep)
        assert (done["changed"], done["atomic"]) == (True, True), done
        host.check_output(f"mv /root/.ansible/tmp/*/AnsiballZ_nginx_config.py /opt/{side}.py")
    mixed = of_side("A")[:7] + of_side("B")[7:]
    assert configure(mixed, "--check").get("failed"), "Nginx takes a mix of both, so the tests would show nothing"
    return "/opt/A.py /opt/B.py"


def killer(host, what: str, count: int, payloads: str) -> dict:
    found = json.loads(host.check_output(f"python3 /opt/kill_runs.py {what} {count} {payloads}"))
    print({key: value for key, value in found.items() if key != "problems"})
    assert found["problems"] == []
    return found


def test_a_kill_at_any_moment_leaves_what_starts(host, payloads):
    found = killer(host, "kill", 50, payloads)
    assert found["invalid"] == 0
    assert found["kills"] >= found["starts"] >= 50
    # The moments were such that something could have broken.
    assert found["journals"] > 0


def test_a_kill_where_the_folder_is_a_mount_point_is_put_right(host, payloads):
    """There files are renamed one by one, so only the next run puts right what a kill between two of them leaves."""
    host.check_output("mount --bind /etc/nginx /etc/nginx")
    try:
        configure(of_side("B"))
        assert configure(of_side("A"))["atomic"] is False
        killer(host, "kill", 10, payloads)
    finally:
        host.check_output("umount /etc/nginx && systemctl restart nginx")


def test_runs_at_the_same_time_do_not_interleave(host, payloads):
    assert set(killer(host, "race", 6, payloads)["won"]) <= {"A", "B"}


# Another daemon.

HAPROXY = {
    "root": "/etc/haproxy",
    "validate": "haproxy -c -f %s/haproxy.cfg",
    "reload": "systemctl try-reload-or-restart haproxy",
    "pid_file": "/run/haproxy.pid",
}


def frontend(text: str, *, port: int = 8090, extra: str = "") -> list[dict]:
    lines = [
        "global\n    master-worker\ndefaults\n    mode http\n    timeout client 5s\n    timeout connect 5s",
        f"    timeout server 5s\nfrontend page\n    bind :8090\n    bind :{port}\n{extra}",
        f"    http-request return status 200 content-type text/plain file {HAPROXY['root']}/page.txt\n",
    ]
    return [{"path": "haproxy.cfg", "content": "\n".join(lines)}, {"path": "page.txt", "content": text}]


def haproxy_says(host) -> str:
    ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8090', timeout=10).read().decode())"
    return host.check_output("python3 -c %s", ask)


def test_haproxy_is_configured_in_the_same_way(host):
    done = configure(frontend("one", port=8091), **HAPROXY)
    assert (done["changed"], done["atomic"]) == (True, True), done
    assert haproxy_says(host) == "one"
    assert configure(frontend("two", port=8091), **HAPROXY)["files"] == ["page.txt"]
    assert haproxy_says(host) == "two"
    assert not configure(frontend("two", port=8091), **HAPROXY)["changed"]

    before = on_disk(host, "/etc/haproxy")
    for _run in range(2):
        done = configure(frontend("three", port=8091, extra="    nosuch keyword\n"), **HAPROXY)
        assert "unknown keyword 'nosuch'" in done["msg"]
        assert "/etc/haproxy/haproxy.cfg" in done["msg"]
        assert (on_disk(host, "/etc/haproxy"), haproxy_says(host)) == (before, "two")
    with taken_port(host):
        done = configure(frontend("three", port=8081), **HAPROXY)
        assert done.get("failed"), done
        assert (on_disk(host, "/etc/haproxy"), haproxy_says(host)) == (before, "two")
        # Systemd starts this one again and again, and gives up after five times.
        for _run in range(3):
            stopped(host, "haproxy")
            done = configure(frontend("three", port=8081), **HAPROXY, service="haproxy")
            assert "those before are back, and it runs with them" in done["msg"]
            assert (on_disk(host, "/etc/haproxy"), haproxy_says(host)) == (before, "two")
    assert configure(frontend("three", port=8081), **HAPROXY)["changed"]
    assert haproxy_says(host) == "three"
    assert not host.file("/etc/.haproxy.emperor").exists
