#!/usr/bin/env python3
"""Write one version of the project that the scenario releases: the probe, with a slow page and one for uploads.

project.py FOLDER NUMBER [KIND]    KIND is good, or what is broken
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PROBE = Path(__file__).parents[1] / "shared/probe"
PAGES = """
import time

from django.http import HttpResponse


def slow(request):
    time.sleep(float(request.GET["seconds"]))
    return HttpResponse("slept")


def upload(request):
    return HttpResponse(len(request.body))


urlpatterns += [path("slow", slow), path("upload", upload)]
"""
UNDER_UWSGI_ONLY = """
try:
    import uwsgi
except ImportError:
    pass
else:
    raise RuntimeError("broken under uWSGI")
"""
PAGE_FAILS = """

def fail(request):
    raise RuntimeError("broken page")


urlpatterns[0] = path("", fail)
"""
PAGE_HANGS = """

def hang(request):
    time.sleep(300)


urlpatterns[0] = path("", hang)
"""

# File, what is added to it, and what the failed play has to say.
BROKEN = {
    "settings": ("probe/settings.py", "\nimport does_not_exist\n", "does_not_exist"),
    "urls": ("probe/urls.py", "\nimport does_not_exist\n", "does_not_exist"),
    "wsgi": ("probe/wsgi.py", "\nraise RuntimeError('broken wsgi')\n", "RuntimeError: broken wsgi"),
    "uwsgi": ("probe/wsgi.py", UNDER_UWSGI_ONLY, "RuntimeError: broken under uWSGI"),
    "page fails": ("probe/urls.py", PAGE_FAILS, "answers 500"),
    "page hangs": ("probe/urls.py", PAGE_HANGS, "did not answer"),
}


def write(folder: Path, number: int, kind: str = "good") -> None:
    """The whole project; the number is part of it, so that each is a release of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(PROBE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "requirements.txt").write_text("django~=5.2.0\n")
    (folder / "MARK").write_text(f"{number} {kind}")
    changes = [("probe/urls.py", PAGES)]
    if kind != "good":
        changes.append(BROKEN[kind][:2])
    for name, text in changes:
        with open(folder / name, "a") as handle:
            handle.write(text)
    # A work tree of its own: the one around it ignores this folder, and what Git ignores belongs to no release.
    subprocess.run(["git", "init", "--quiet", folder], check=True)


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
