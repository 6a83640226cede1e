#!/usr/bin/env python3
"""Make a Git repository of the project with a tag for each release that the tests of this scenario put live.

    make_releases.py FOLDER

v1 and v2 are good, v3 has a view that fails, and in v4 only what Celery imports is broken.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent / "project"
BROKEN_FOR_CELERY = """
import sys

if "celery" in sys.argv[0]:
    raise RuntimeError(f"broken for Celery only {os.environ['SECRET_KEY']}")
"""


def main(folder: Path) -> None:
    """Make it anew."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    git(folder, "init", "--quiet")
    tasks, urls = folder / "tasks/__init__.py", folder / "queue_site/urls.py"
    for version in ("v1", "v2", "v3", "v4"):
        tasks.write_text((PROJECT / "tasks/__init__.py").read_text().replace('"v1"', f'"{version}"'))
        urls.write_text((PROJECT / "queue_site/urls.py").read_text())
        if version == "v3":
            urls.write_text(urls.read_text().replace("HttpResponse(tasks.VERSION)", "HttpResponse(1 / 0)"))
        if version == "v4":
            tasks.write_text(tasks.read_text() + BROKEN_FOR_CELERY)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", version)
        git(folder, "tag", version)


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *identity, "-C", str(folder), *arguments], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
