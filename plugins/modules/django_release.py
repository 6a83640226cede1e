#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: django_release
short_description: Build a release of a Django project beside the live one
version_added: 0.1.0
description:
  - A release is the sources of one revision, a virtual environment, and the configuration that they run with
    (environment and settings of the vassal). Its id comes from that content, so the same input is the same release
    and a second run changes nothing.
  - Nothing that is live is touched. A build that is interrupted is never used, the next run builds it again.
  - A build is refused before it writes where the disk has not the room for as much as the live release takes (its
    sources and static files, and its virtual environment where a new one is built) and 16 MB and 100 inodes for what
    the site writes meanwhile.
  - The folders of the code belong to root and can only be read by the app. The virtual environment is built with
    the rights of the app's user, because packages may run code of their own while they are installed.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
  - emperor.web.attributes.action
  - emperor.web.deploy
options:
  name:
    description: Name of the app, which is also the name of its user and group. Both have to exist.
    type: str
    required: true
  root:
    description: Folder of the app. C(/srv/django/) and O(name) unless given.
    type: path
  state:
    description:
      - V(present) builds the release that the other options describe, unless it is there.
      - V(resolved) finds out what O(source) and O(version) mean and checks the other options, changing nothing.
      - V(pruned) removes old releases and what belonged only to them, see O(keep). The live release counts as
        deployed to the end from then on, see RV(pending).
      - V(locked) takes the deploy lock for this run of Ansible, V(unlocked) gives it back if this run has it. Neither
        counts as a change.
    type: str
    choices: [present, resolved, pruned, locked, unlocked]
    default: present
  source:
    description:
      - A Git URL (C(https), C(ssh), C(git), C(file), or C(user@host:path)), the URL of an archive, or an archive or
        folder on the controller, relative to where Ansible was started.
      - Archives are C(.tar.gz), C(.tgz), C(.tar.bz2), C(.tar.xz), C(.tar) and C(.zip).
      - Of a folder that is a Git work tree, the files that Git does not ignore are taken as they are. Of another
        folder all but virtual environments, caches, C(.env) and SQLite files.
      - User and password in a URL are handed over out of sight and appear in no output.
      - Needed with O(state=present) and O(state=resolved).
    type: str
  login:
    description: User and password for O(source), as in a URL; the action plugin moves here what the URL carries.
    type: str
  version:
    description: Branch, tag or whole commit id of a Git repository; its default branch unless given.
    type: str
  revision:
    description: What RV(revision) of an earlier run with O(state=resolved) said, so that it is not asked again.
    type: str
  archive:
    description: Archive on the host that holds O(source); set by the action plugin, not for playbooks.
    type: path
  deploy_key:
    description: Private SSH key, its text, that may read the repository. It is on the host only while Git runs.
    type: str
  known_hosts:
    description:
      - Lines for C(known_hosts) that the server's key has to match.
      - Without it the first key that a server shows is accepted and kept.
    type: str
  project:
    description: Folder with C(manage.py), relative to the top of the sources. Found unless given.
    type: str
  settings:
    description: Settings module. Read from C(wsgi.py), then C(manage.py) unless given.
    type: str
  wsgi:
    description: WSGI callable as V(module:attribute). Found unless given.
    type: str
  shared_folders:
    description:
      - Folders of the sources that outlive releases, such as V(data), V(logs) or V(var/cache), relative to the top of
        the sources. A link to the folder of that name in C(shared) takes the place of each; it belongs to the app.
      - What the sources have in there is copied to it, unless something of that name is there already.
      - For projects whose settings cannot be told where to write. The role C(emperor.web.django) sees to C(MEDIA_ROOT)
        and C(STATIC_ROOT) without it.
    type: list
    elements: str
    default: []
  requirements:
    description:
      - File that lists the requirements, relative to the top of the sources.
      - Unless given the first of C(uv.lock), C(requirements.txt), C(requirements/production.txt),
        C(requirements/prod.txt) and C(pyproject.toml), beside C(manage.py) or at the top.
    type: str
  extras:
    description: Extras of C(pyproject.toml) to install.
    type: list
    elements: str
    default: []
  groups:
    description: Dependency groups of C(pyproject.toml) to install; with V(uv) only.
    type: list
    elements: str
    default: []
  installer:
    description: Program that builds the virtual environment.
    type: str
    choices: [uv, pip]
    default: uv
  uv:
    description: Path of C(uv). Unless given, O(uv_version) is installed below C(/usr/local/lib/emperor).
    type: path
  uv_version:
    description: Version of C(uv) to install from the package index, where O(uv) is not given.
    type: str
    default: 0.13.9
  python:
    description: Interpreter of the virtual environment. uWSGI of the distribution runs the distribution's own only.
    type: path
    default: /usr/bin/python3
  python_version:
    description: Python version that the app wants, as V(3.12); it has to be the one of O(python).
    type: str
  environment:
    description:
      - Environment variables of the app. Added to them are C(DJANGO_SETTINGS_MODULE), C(STATIC_ROOT), C(MEDIA_ROOT),
        C(EMPEROR_RELEASE), C(EMPEROR_REVISION), C(HOME), C(PATH), C(VIRTUAL_ENV), C(LANG) and C(LC_ALL);
        a value that is given wins over an added one, but for the C(EMPEROR_) ones.
    type: dict
    default: {}
  secret_key_names:
    description:
      - Variables that get the app's secret key, unless O(environment) has them. The key is made at the first run,
        kept in C(secret_key) of O(root), and never leaves the host.
    type: list
    elements: str
    default: [SECRET_KEY, DJANGO_SECRET_KEY]
  uwsgi:
    description:
      - Options of uWSGI for the release's vassal, by their names in uWSGI's documentation, for example V(processes).
      - A list gives an option several times; V(false) takes a default out.
      - The number of processes follows from the host's processors and memory unless given.
      - Refused are values out of range, options that the host's uWSGI does not have, and those that would break the way
        a release goes live.
    type: dict
    default: {}
  web_group:
    description: Group of the web server; it may read uploaded media and speak to the app's socket.
    type: str
    default: www-data
  run_directory:
    description: Folder of the app's sockets. C(/run/emperor/) and O(name) unless given.
    type: path
  index_url:
    description: Package index to use in place of the default one.
    type: str
  ca_certificates:
    description: Certificate authorities to trust besides the system's, their text (PEM).
    type: str
  proxy:
    description: URL of an HTTP proxy for Git and packages.
    type: str
  timeout:
    description: Seconds after which one step, fetching or installing, is given up.
    type: int
    default: 1800
  keep:
    description:
      - Finished releases to keep, with O(state=pruned). The live one, the one before it, and the last one that was live
        and has not failed since stay in any case.
    type: int
    default: 3
requirements:
  - Git on the host for a repository
  - C(python3-venv) on the host
"""

EXAMPLES = r"""
- name: Build a release from a tag
  emperor.web.django_release:
    name: shop
    source: https://github.com/acme/shop.git
    version: v1.4.2
    environment:
      ALLOWED_HOSTS: shop.example.com
      DATABASE_URL: "{{ shop_database_url }}"
  register: release

- name: Find out whether a branch exists, and which commit it is
  emperor.web.django_release:
    name: shop
    state: resolved
    source: git@github.com:acme/shop.git
    version: main
    deploy_key: "{{ shop_deploy_key }}"

- name: Build a release, and keep other runs away until this one has put it live and given the lock back
  emperor.web.django_release:
    name: shop
    source: https://github.com/acme/shop.git
    lock: run
    lock_wait: 60
  register: release

- name: Let other runs deploy again
  emperor.web.django_release:
    name: shop
    state: unlocked

- name: Remove all but the newest five releases
  emperor.web.django_release:
    name: shop
    state: pruned
    keep: 5
"""

RETURN = r"""
release:
  description: Id of the release, the start of its revision and a digest of everything that it is made of.
  returned: with O(state=present)
  type: str
  sample: 3f2a9c1b-7d04e6aa
revision:
  description: Commit of a repository, or digest of an archive's or folder's content.
  returned: with O(state=present) and O(state=resolved), unless Git is not installed yet
  type: str
  sample: 3f2a9c1b5d7e8f90112233445566778899aabbcc
live:
  description: Id of the release that is live, empty where none is.
  returned: success
  type: str
  sample: 9e107d9d-372bb682
pending:
  description: Whether the release is not live, or its last deployment did not come to its end (O(state=pruned)).
  returned: with O(state=present)
  type: bool
  sample: true
deploy:
  description: Names this run of Ansible; the same for all its tasks.
  returned: always
  type: str
  sample: 5d41402abc4b2a76
locked_by:
  description: Who has the deploy lock.
  returned: when another run has it
  type: str
  sample: "ann from laptop (pid 4711) since 2026-11-22 12:03:10 UTC, v1.4.2"
path:
  description: Folder of the release.
  returned: with O(state=present)
  type: str
  sample: /srv/django/shop/releases/3f2a9c1b-7d04e6aa
project:
  description: Folder with C(manage.py).
  returned: with O(state=present)
  type: str
  sample: /srv/django/shop/releases/3f2a9c1b-7d04e6aa/src
virtualenv:
  description: Virtual environment of the release.
  returned: with O(state=present)
  type: str
  sample: /srv/django/shop/releases/3f2a9c1b-7d04e6aa/venv
settings:
  description: Settings module.
  returned: with O(state=present), empty in check mode before the release is built
  type: str
  sample: shop.settings
wsgi:
  description: WSGI callable.
  returned: with O(state=present), empty in check mode before the release is built
  type: str
  sample: shop.wsgi:application
environment_file:
  description: File with the environment of the release, mode 0640.
  returned: with O(state=present)
  type: str
  sample: /srv/django/shop/releases/3f2a9c1b-7d04e6aa/env
removed:
  description: What was removed, or would be in check mode.
  returned: with O(state=pruned)
  type: list
  elements: str
  sample: [/srv/django/shop/releases/1b2c3d4e-11aa22bb]
"""

from ansible_collections.emperor.web.plugins.module_utils._module_django_release import main

if __name__ == "__main__":
    main()
