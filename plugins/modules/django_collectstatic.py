#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: django_collectstatic
short_description: Collect a Django project's static files and tell exactly what changed
version_added: 0.1.0
description:
  - Runs the project's own C(collectstatic) and compares the target folder by content before and after it.
  - RV(ignore:changed) means that a file has other content than before, came or went. A file that was written
    again as it was, as storages with hashed names do on each run, is no change.
  - The files are collected into an empty folder and carried over one by one, so a failure leaves the target as it
    was, and check mode, which is the same without the last step, foresees hashed names too.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
  - emperor.web.django
options:
  clear:
    description: Empty the target first.
    type: bool
    default: false
  link:
    description: Make symbolic links to the sources in place of copies.
    type: bool
    default: false
  ignore:
    description: Patterns of names to leave out, in addition to C(CVS), C(.*) and C(*~).
    type: list
    elements: str
    default: []
notes:
  - With a storage that is no folder of the host, a bucket for example, the lists are what the storage itself
    reports, RV(exact) is false, and check mode does not foresee hashed names.
"""

EXAMPLES = r"""
- name: Collect the static files of a release
  emperor.web.django_collectstatic:
    project: /srv/django/shop/releases/3f2a9c1b-7d04e6aa/src
    virtualenv: /srv/django/shop/releases/3f2a9c1b-7d04e6aa/venv
    settings: shop.settings
    environment_file: /srv/django/shop/releases/3f2a9c1b-7d04e6aa/env
    user: shop

- name: Start from an empty folder and leave sources of style sheets out
  emperor.web.django_collectstatic:
    project: /opt/blog
    virtualenv: /opt/blog/.venv
    settings: blog.settings
    clear: true
    ignore:
      - "*.scss"

- name: See which files a release would change
  emperor.web.django_collectstatic:
    project: /opt/blog
    virtualenv: /opt/blog/.venv
    settings: blog.settings
  check_mode: true
  diff: true
"""

RETURN = r"""
added:
  description: Files that were not there before, relative to RV(location).
  returned: success
  type: list
  elements: str
  sample: [shop/style.css, shop/style.55e7cbb9ba48.css]
modified:
  description: Files that have other content now.
  returned: success
  type: list
  elements: str
  sample: [staticfiles.json]
deleted:
  description: Files that are gone.
  returned: success
  type: list
  elements: str
  sample: []
unmodified:
  description: Number of files that are as they were.
  returned: success
  type: int
  sample: 130
location:
  description: The target folder, C(STATIC_ROOT); empty for a storage that is no folder.
  returned: success
  type: str
  sample: /srv/django/shop/releases/3f2a9c1b-7d04e6aa/static
exact:
  description: Whether the lists come from comparing files; false for a storage that is no folder.
  returned: success
  type: bool
  sample: true
predicted:
  description: False when check mode could not look into the project because its interpreter does not exist yet.
  returned: in check mode, when it is false
  type: bool
  sample: false
traceback:
  description: The exception that Django raised.
  returned: when collecting failed or the project does not start
  type: str
  sample: "Traceback (most recent call last): ..."
"""

import hashlib
import inspect

from ansible_collections.emperor.web.plugins.module_utils import (
    _django_collectstatic,
    _django_static_compress,
    _django_static_files,
    _django_static_remote,
    _django_static_state,
    _django_static_storage,
)
from ansible_collections.emperor.web.plugins.module_utils._django import DjangoModule

# In the order in which they import each other.
PARTS = (
    _django_static_files,
    _django_static_state,
    _django_static_compress,
    _django_static_storage,
    _django_static_remote,
)
OPTIONS = {
    "clear": {"type": "bool", "default": False},
    "link": {"type": "bool", "default": False},
    "ignore": {"type": "list", "elements": "str", "default": []},
    "prune": {"type": "bool", "default": False},
    "precompress": {"type": "list", "elements": "str", "choices": ["gzip", "brotli", "zstd"], "default": []},
}


def code() -> str:
    """A digest of what runs in the app's interpreter: what another version has remembered is not relied on."""
    texts = "".join(inspect.getsource(part) for part in (_django_collectstatic, *PARTS))
    return hashlib.sha256(texts.encode()).hexdigest()


def diff_of(answer: dict) -> dict[str, str]:
    """The lists as Ansible's diff: one line a file."""
    header = answer["location"] or "static files"
    return {
        "before_header": header,
        "after_header": header,
        "before": "".join(f"{name}\n" for name in sorted(answer["deleted"] + answer["modified"])),
        "after": "".join(
            f"{name}\n" for name in sorted(answer["added"] + [f"{name} (modified)" for name in answer["modified"]])
        ),
    }


def main() -> None:
    """Have the files collected, into a copy in check mode, and report the difference."""
    django = DjangoModule(OPTIONS)
    options = {name: django.params[name] for name in OPTIONS}
    if options["link"] and options["precompress"]:
        django.module.fail_json(
            msg="precompress cannot be combined with link: an edited source would be served through its link at once, "
            "with a compressed file that is out of date beside it; leave one of the two out"
        )
    django.skip_unbuilt(changed=False, added=[], modified=[], deleted=[])
    answer = django.ask(_django_collectstatic, *PARTS, code=code(), **options)
    for warning in answer.pop("warnings"):
        django.module.warn(warning)
    changed = bool(answer["added"] or answer["modified"] or answer["deleted"])
    django.module.exit_json(changed=changed, diff=diff_of(answer), **answer)


if __name__ == "__main__":
    main()
