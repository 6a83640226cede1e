"""ColdFront works as its authors mean it to."""

from __future__ import annotations

import re

DOMAIN = "coldfront.example.com"


def test_start_page(site):
    answer = site.get("/")
    assert answer.status == 200
    assert "Welcome to ColdFront" in answer.text


def test_every_file_that_the_login_page_asks_for_is_there(site):
    page = site.get("/user/login")
    assert page.status == 200
    assets = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text))
    assert assets
    for asset in assets:
        assert site.get(asset).status == 200, asset


def test_pages_behind_the_login_are_behind_it(site):
    assert site.get("/project/").status == 302


def test_admin(site):
    assert site.get("/admin/login/").status == 200
    assert site.get("/static/admin/css/base.css").status == 200


def test_migrations_are_applied(host):
    shown = host.check_output("coldfront-manage showmigrations --plan")
    assert "[X]" in shown
    assert "[ ]" not in shown


def test_requirements_are_the_locked_ones(host):
    manifest = host.check_output("cat /srv/django/coldfront/current/release.json")
    assert '"requirements": "uv.lock"' in manifest


def test_login_works(host, site):
    """A user that manage.py makes can log in through Nginx; the session outlives the worker that made it."""
    made = "User.objects.create_superuser('root', '', 'a-password-of-a-test')"
    code = f"from django.contrib.auth.models import User; {made}"
    host.check_output("coldfront-manage shell -v 0 -c %s", code)
    page = site.get("/admin/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text).group(1)
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    body = f"csrfmiddlewaretoken={token}&username=root&password=a-password-of-a-test&next=/admin/".encode()
    headers = {"Cookie": cookie, "Content_Type": "application/x-www-form-urlencoded", "Referer": f"http://{DOMAIN}/"}
    done = site.request("POST", "/admin/login/", body, **headers)
    assert done.status == 302
    session = re.search(r"sessionid=[^;]+", ";".join(done.headers.get_all("Set-Cookie"))).group(0)
    for _request in range(8):
        assert site.get("/admin/", Cookie=session).status == 200
