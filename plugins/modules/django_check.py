#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: django_check
short_description: Run Django's system checks and refuse a project that is not fit to serve
version_added: 0.1.0
description:
  - Starts the project exactly as it will run and performs Django's system checks, which also import its URLs.
  - Optionally imports the WSGI callable and adds the deployment checks.
  - Returns each message in parts, and what a web server needs to know of the settings.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
  - emperor.web.django
attributes:
  diff_mode:
    support: none
    details: The module changes nothing.
options:
  deploy:
    description:
      - Add the checks of C(check --deploy).
      - In addition three mistakes that make a public site unsafe are errors, V(emperor.E001) (C(DEBUG) is on),
        V(emperor.E002) (C(SECRET_KEY) can be guessed, because it is the one of C(startproject), has fewer than
        20 characters, or fewer than 5 different ones) and V(emperor.E003) (C(ALLOWED_HOSTS) has V(*)).
      - They count whatever O(tags) says, and C(SILENCED_SYSTEM_CHECKS) does not silence them; O(accept) does.
    type: bool
    default: false
  fail_level:
    description: The module fails when a message of this level or above is not in O(accept).
    type: str
    choices: [info, warning, error, critical]
    default: error
  accept:
    description:
      - Ids of messages that are reported but never a reason to fail, for example V(security.W004).
      - One that no message has is told in a warning, unless O(tags) leaves checks out.
    type: list
    elements: str
    default: []
  tags:
    description: Run only checks with these tags, for example V(models).
    type: list
    elements: str
    default: []
  databases:
    description: Aliases of databases that the database checks look at; without it they look at none.
    type: list
    elements: str
    default: []
  wsgi:
    description:
      - WSGI or ASGI callable to import, as V(module:attribute); the attribute is C(application) unless given.
    type: str
  foresee:
    description:
      - Say as well whether M(emperor.web.django_migrate) and M(emperor.web.django_collectstatic) with their default
        options would have something to do. A playbook can then leave out their tasks, and the project is loaded once.
      - With V(unknown_migrations) also whether O(emperor.web.django_migrate#module:check_unknown) would find something.
    type: list
    elements: str
    choices: [migrate, unknown_migrations, collectstatic]
    default: []
  precompress:
    description: The option of M(emperor.web.django_collectstatic), for O(foresee=collectstatic).
    type: list
    elements: str
    default: []
  refuse:
    description:
      - Sentences of a playbook that has found something itself against the project. The module fails with them and asks
        the project nothing; a release that is being deployed has failed then, as with a check.
    type: list
    elements: str
    default: []
seealso:
  - name: System check framework
    description: All ids and levels.
    link: https://docs.djangoproject.com/en/5.2/ref/checks/
"""

EXAMPLES = r"""
- name: Refuse a release that is not fit to serve
  emperor.web.django_check:
    project: /srv/django/shop/releases/3f2a9c1b-7d04e6aa/src
    virtualenv: /srv/django/shop/releases/3f2a9c1b-7d04e6aa/venv
    settings: shop.settings
    environment_file: /srv/django/shop/releases/3f2a9c1b-7d04e6aa/env
    user: shop
    deploy: true
    wsgi: shop.wsgi:application

- name: Treat every warning as an error, except one
  emperor.web.django_check:
    project: /opt/blog
    virtualenv: /opt/blog/.venv
    settings: blog.settings
    deploy: true
    fail_level: warning
    accept:
      - security.W004

- name: Look at the settings of a project
  emperor.web.django_check:
    project: /opt/blog
    python: /usr/bin/python3
    settings: blog.settings
    environment:
      SECRET_KEY: "{{ blog_secret_key }}"
  register: blog
"""

RETURN = r"""
messages:
  description: What the checks said, silenced ones left out.
  returned: when the project could be asked
  type: list
  elements: dict
  sample:
    - id: security.W004
      level: warning
      object: ""
      msg: You have not set a value for the SECURE_HSTS_SECONDS setting.
      hint: ""
project:
  description:
    - What the settings say, paths as absolute ones. Names of databases are given for SQLite only, where they are paths.
    - C(ssl_redirect) tells whether Django redirects to HTTPS, by C(SECURE_SSL_REDIRECT) and its middleware.
  returned: when the project could be asked
  type: dict
  sample:
    django_version: 5.2.8
    python_version: 3.12.3
    settings: shop.settings
    wsgi_application: shop.wsgi.application
    debug: false
    insecure_key: false
    insecure_key_reason: ""
    allowed_hosts: [shop.example.com]
    static_url: /static/
    static_root: /srv/django/shop/releases/3f2a9c1b-7d04e6aa/static
    media_url: /media/
    media_root: /srv/django/shop/shared/media
    ssl_redirect: true
    staticfiles: true
    databases:
      - alias: default
        engine: django.db.backends.sqlite3
        name: /srv/django/shop/shared/db.sqlite3
foreseen:
  description:
    - For each entry of O(foresee) false when there is nothing; true when there is, or when only the module can tell.
  returned: success and O(foresee) given
  type: dict
  sample: {migrate: false, collectstatic: true}
predicted:
  description: False when check mode could not look into the project because its interpreter does not exist yet.
  returned: in check mode, when it is false
  type: bool
  sample: false
traceback:
  description: The exception that the project raised.
  returned: when the project does not start
  type: str
  sample: "Traceback (most recent call last): ..."
"""

from ansible_collections.emperor.web.plugins.module_utils._module_django_check import main

if __name__ == "__main__":
    main()
