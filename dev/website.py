#!/usr/bin/env python3
"""Build the documentation as a website: the pages of this repository, and a reference of all modules and roles.

website.py          writes .cache/site/html, and fails for a link between pages that leads nowhere
website.py links    asks also for all that they link to elsewhere; without a network it says that it has skipped that
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import lab

FOLDER = lab.CACHE / "site"
# What people read in the repository; links between these files, and to pictures, are kept.
PAGES = ("README.md", "docs", "inventory", "roles/*/README.md", "examples/guestbook/README.md")
CONFIGURATION = """
project = "emperor.web"
author = copyright = "the emperor.web authors"
extensions = ["myst_parser", "sphinx_antsibull_ext"]
html_theme = "furo"
html_title = "emperor.web"
myst_heading_anchors = 4
root_doc = "index"
exclude_patterns = ["reference/environment_variables.rst"]
# Of Ansible's own pages nothing is known here; antsibull-docs checks our references to each other, see the stage docs.
suppress_warnings = ["ref.ref"]
linkcheck_ignore = [r"https?://([a-z0-9.-]+\\.)?example\\.(com|org)", r"http://(127\\.0\\.0\\.1|localhost)"]
linkcheck_anchors = False  # many pages make theirs in the browser
linkcheck_timeout = 20
"""
INDEX = """
emperor.web
===========

.. toctree::
   :maxdepth: 2

   README
{pages}
   reference/index
"""


def build(tools: Path) -> str:
    """Write the site; what it has, in words."""
    source = FOLDER / "source"
    shutil.rmtree(FOLDER, ignore_errors=True)
    reference = source / "reference"
    reference.mkdir(parents=True)
    for directory in (FOLDER, source, reference):
        directory.chmod(0o755)  # antsibull-docs wants a folder that nobody else can write to
    pages = sorted(path for pattern in PAGES for path in lab.ROOT.glob(pattern))
    for path in pages:
        target = source / path.relative_to(lab.ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target)
    (source / "conf.py").write_text(CONFIGURATION)
    names = sorted(str(path.relative_to(source).with_suffix("")) for path in source.rglob("*.md"))
    names.sort(key=lambda name: name != "docs/first-site")
    listed = "\n".join(f"   {name}" for name in names if name != "README")
    (source / "index.rst").write_text(INDEX.format(pages=listed))
    call(tools, "antsibull-docs", "collection", "--use-current", "--squash-hierarchy", "--fail-on-error",
         "--dest-dir", reference, "emperor.web")  # fmt: skip
    call(tools, "sphinx-build", "--quiet", "--fail-on-warning", "--keep-going", source, FOLDER / "html")
    return f"{len(list((FOLDER / 'html').rglob('*.html')))} pages in {FOLDER.relative_to(lab.ROOT)}/html"


def links(tools: Path) -> str:
    """Ask for the pages elsewhere that ours link to; what came of it, in words. Raises ValueError for dead ones."""
    report = FOLDER / "links"
    with contextlib.suppress(subprocess.CalledProcessError):  # its report says more
        call(tools, "sphinx-build", "-Q", "--builder", "linkcheck", FOLDER / "source", report)
    found = [json.loads(line) for line in (report / "output.json").read_text().splitlines()]
    asked = [link for link in found if link["status"] in ("working", "redirected", "broken", "timeout")]
    dead = [link for link in asked if link["status"] in ("broken", "timeout")]
    if asked and len(dead) == len(asked):
        return f"skipped: none of {len(asked)} links was reached, so there is no network here; {dead[0]['info']}"
    if dead:
        raise ValueError("\n".join(f"{link['filename']}: {link['uri']}: {link['info']}" for link in dead))
    return f"{len(asked)} links lead somewhere"


def call(tools: Path, *argv: str | Path) -> None:
    """Run a program of the tools."""
    variables = {"ANSIBLE_COLLECTIONS_PATH": str(lab.ROOT / "playbooks/collections"), "NO_COLOR": "1"}
    path = f"{tools / 'bin'}:{os.environ['PATH']}"
    subprocess.run([tools / "bin" / argv[0], *argv[1:]], env=os.environ | variables | {"PATH": path}, check=True)


if __name__ == "__main__":
    try:
        tools = lab.virtualenv()
        call(tools, "python", lab.ROOT / "dev/settings.py")
        print(build(tools))
        if sys.argv[1:] == ["links"]:
            print(links(tools))
    except (subprocess.CalledProcessError, lab.Missing, ValueError) as error:
        sys.exit(str(error))
