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
  - The files are collected into an empty folder inside of the target and renamed into their places, the manifest last.
    So a failure leaves the target as it was, each file is the old one or the new one at any moment, and check mode,
    which is the same in a temporary folder and without the last step, foresees hashed names too.
  - When neither sources, settings, options nor the target were touched since an earlier run, nothing is collected.
    What is needed to know that is kept in the file C(.emperor-collectstatic.json) of the target, with mode 0600 and
    owned by O(user). It has no source paths and no settings in it, only digests of them. Removing it does no harm.
  - A storage or a C(collectstatic) command with methods of its own, but for Django's and WhiteNoise's, may depend on
    anything, so such a project is collected at each run, as is one whose sources are no files.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
  - emperor.web.django
options:
  clear:
    description:
      - Remove all files from the target that are not collected, whoever put them there.
      - Files that are collected stay as they are if their content is right.
    type: bool
    default: false
  link:
    description:
      - Make symbolic links to the sources in place of copies.
      - It cannot be combined with O(precompress).
    type: bool
    default: false
  ignore:
    description: Patterns of names to leave out, in addition to C(CVS), C(.*) and C(*~).
    type: list
    elements: str
    default: []
  prune:
    description:
      - Remove files that an earlier run has collected and that no source has any more, hashed names included.
      - Files that came to the target in another way stay; O(clear) removes them too.
      - In a target in which this module has not run yet it cannot tell them apart, removes nothing, and warns.
    type: bool
    default: false
  precompress:
    description:
      - Put a compressed file beside each text, script, style sheet, vector image or font of 256 bytes or more that
        becomes at least 5 % smaller, for C(gzip_static) of Nginx.
      - V(gzip) makes C(.gz) at level 9, V(brotli) C(.br) at level 11, V(zstd) C(.zst) at level 19; the same content
        always gives the same bytes.
      - V(brotli) needs the package C(brotli) in the project's virtual environment, and V(zstd) before Python 3.14
        C(zstandard). Without it a warning says so, and such files are not made.
      - A compressed file is renewed with its file, and removed when its file is not collected any more, is too small,
        or when its method is not in this list any more. One that a source has itself is left alone.
      - A storage that makes compressed files itself, as WhiteNoise's does, is left to it, with a warning.
    type: list
    elements: str
    choices: [gzip, brotli, zstd]
    default: []
  skip_checks:
    description: Do not run the system checks of static files before, as C(collectstatic) does by itself.
    type: bool
    default: false
notes:
  - With a storage that is no folder of the host, a bucket for example, the lists are what the storage itself
    reports, RV(exact) is false, O(prune) and O(precompress) do nothing, and check mode does not foresee what
    post-processing writes, such as hashed names. Warnings say so.
  - The new files need their space beside the old ones until they take their place.
  - Two runs on one target wait for each other.
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

- name: Collect with compressed files for Nginx, and remove what the project does not have any more
  emperor.web.django_collectstatic:
    project: /opt/blog
    virtualenv: /opt/blog/.venv
    settings: blog.settings
    prune: true
    precompress:
      - gzip

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
  description: Number of collected files that are as they were.
  returned: success
  type: int
  sample: 130
post_processed:
  description: Number of files that the storage has post-processed, for example given a hashed name.
  returned: success
  type: int
  sample: 130
precompressed:
  description: Number of compressed files that belong to the collected ones because of O(precompress).
  returned: success
  type: int
  sample: 0
clashes:
  description:
    - Paths that more than one source has, in order; Django takes the first it finds.
    - Reported at each run, changed or not.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Path relative to RV(location).
      type: str
    winner:
      description: The source that is collected.
      type: str
    losers:
      description: The sources that are not.
      type: list
      elements: str
  sample:
    - path: css/base.css
      winner: /opt/blog/blog/static/css/base.css
      losers: [/opt/blog/shop/static/css/base.css]
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

from ansible_collections.emperor.web.plugins.module_utils._module_django_collectstatic import main

if __name__ == "__main__":
    main()
