#!/usr/bin/env python3
"""Make a repository with versions of the example that wait, at each step of a deployment, while a file is there.

    versions.py GUESTBOOK REPOSITORY

A step waits in the way it would be slow: Git while it packs, the installer while a package builds, Django while it
starts, collects files or migrates, a worker while it imports, a view while it answers. See hold.py in the versions.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSIONS = ("v1", "v2", "v3", "v4", "v5")

HOLD = '''"""Wait while a file is there, and say so in another one."""

import os
import sys
import time

from django.contrib.staticfiles.finders import AppDirectoriesFinder

FOLDER = "/srv/django/guestbook/shared/hold"


def wait(step):
    path = f"{FOLDER}/{step}"
    if os.path.exists(path):
        open(f"{path}.reached", "w").close()
    while os.path.exists(path):
        time.sleep(0.02)


class Finder(AppDirectoriesFinder):
    """Waits when half of the files are listed, so that those are there and the others are not."""

    def list(self, ignore_patterns):
        for number, found in enumerate(super().list(ignore_patterns)):
            if number == 60:
                wait("collectstatic")
            yield found


def confirmed(get_response):
    """The web server's answer to the last question waits; that to the health check before it does not, but is told."""

    def answer(request):
        if request.path == "/healthz":
            if "emperor" not in request.headers.get("User-Agent", ""):
                wait("confirm")
            elif os.path.exists(f"{FOLDER}/settle"):
                open(f"{FOLDER}/settle.reached", "w").close()
        return get_response(request)

    return answer
'''

SETTINGS = """
STATICFILES_FINDERS = ["guestbook.hold.Finder"]
MIDDLEWARE.insert(0, "guestbook.hold.confirmed")
"""

MANAGE = """
from guestbook import hold

if sys.argv[1:] == ["check"]:
    hold.wait("check")
"""

WSGI = """
try:
    import uwsgi  # it is there in a worker only

    from guestbook import hold

    hold.wait("start")
except ImportError:
    pass
"""

MIGRATION = """import sys

from django.db import migrations
from guestbook import hold


def sign(apps, schema_editor):
    apps.get_model("entries", "Entry").objects.create(name="{version}", message="Migrated to {version}.")
    hold.wait("migrate")


class Migration(migrations.Migration):
    dependencies = [("entries", "{before}")]
    operations = [migrations.RunPython(sign, migrations.RunPython.noop)]
"""

BACKEND = '''"""A package whose build takes as long as a file is there."""

import base64
import hashlib
import os
import time
import zipfile

PATH = "/srv/django/guestbook/shared/hold/build"
FILES = {"slowpackage.py": "VERSION = '{version}'\\n" * 5000}
INFO = "slowpackage-1.dist-info"
FILES[f"{INFO}/METADATA"] = "Metadata-Version: 2.1\\nName: slowpackage\\nVersion: 1\\n"
FILES[f"{INFO}/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: backend\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if os.path.exists(PATH):
        open(f"{PATH}.reached", "w").close()
    while os.path.exists(PATH):
        time.sleep(0.02)
    name = "slowpackage-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        record = ""
        for path, text in FILES.items():
            wheel.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            record += f"{path},sha256={digest},{len(text.encode())}\\n"
        wheel.writestr(f"{INFO}/RECORD", record + f"{INFO}/RECORD,,\\n")
    return name
'''

PYPROJECT = """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "slowpackage"
version = "1"
"""


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *who, "-C", str(folder), *arguments], check=True, capture_output=True)


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def prepare(work: Path) -> None:
    """What all versions have."""
    (work / "guestbook/hold.py").write_text(HOLD)
    append(work / "guestbook/settings.py", SETTINGS)
    append(work / "guestbook/wsgi.py", WSGI)
    manage = work / "manage.py"
    manage.write_text(manage.read_text().replace("import sys\n", f"import sys\n{MANAGE}", 1))


def change(work: Path, version: str, before: str) -> str:
    """What is new in a version: a package, a migration, static files. Returns the migration's name."""
    package = work / "slowpackage"
    package.mkdir(exist_ok=True)
    (package / "backend.py").write_text(BACKEND.replace("{version}", version))
    (package / "pyproject.toml").write_text(PYPROJECT)
    requirements = [line for line in (work / "requirements.txt").read_text().splitlines() if "slowpackage" not in line]
    (work / "requirements.txt").write_text("\n".join([*requirements, f"./slowpackage # {version}", ""]))
    name = f"{8 + int(version[1:]):04}_{version}"
    text = MIGRATION.replace("{version}", version).replace("{before}", before)
    (work / f"entries/migrations/{name}.py").write_text(text)
    for number in range(100):
        (work / f"entries/static/entries/{version}-{number}.txt").write_text(f"{version} {number}\n" * 100)
    return name


def main(guestbook: Path, repository: Path) -> None:
    shutil.rmtree(repository, ignore_errors=True)
    with tempfile.TemporaryDirectory() as top:
        work = Path(top) / "work"
        shutil.copytree(guestbook, work, ignore=shutil.ignore_patterns("__pycache__"))
        git(Path(top), "init", "--quiet", "--initial-branch=main", str(work))
        prepare(work)
        before = "0008_entry_message_not_empty"
        for version in VERSIONS:
            if version != VERSIONS[0]:
                before = change(work, version, before)
            git(work, "add", "--all")
            git(work, "commit", "--quiet", "--message", version)
            git(work, "tag", version)
        git(work, "clone", "--quiet", "--bare", str(work), str(repository))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
