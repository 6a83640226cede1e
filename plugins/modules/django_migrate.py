#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: django_migrate
short_description: Bring a database's schema to the state that a Django project's migrations describe
version_added: 0.1.0
description:
  - Asks Django's migration graph what separates the database from the wanted state, and applies exactly that.
  - RV(ignore:changed) is the plan not being empty; text that Django prints plays no part in it.
  - With nothing to do it costs one start of Django and one query; neither the autodetector nor C(post_migrate) runs.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
  - emperor.web.django
options:
  app:
    description: Label of the one app to migrate; all apps without it.
    type: str
  migration:
    description:
      - Migration of O(app) to reach, forwards or backwards, by its name or the start of it; V(zero) undoes all.
    type: str
  database:
    description: Alias of the database.
    type: str
    default: default
  fake:
    description: Record the migrations without running them.
    type: bool
    default: false
  skip_checks:
    description: Do not run the system checks before the migrations.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Apply all migrations
  emperor.web.django_migrate:
    project: /srv/django/shop/current/src
    virtualenv: /srv/django/shop/current/venv
    settings: shop.settings
    environment_file: /srv/django/shop/current/env
    user: shop

- name: Take one app back to an earlier migration
  emperor.web.django_migrate:
    project: /opt/blog
    virtualenv: /opt/blog/.venv
    settings: blog.settings
    app: articles
    migration: "0003"

- name: See what a release would do to the database
  emperor.web.django_migrate:
    project: /opt/blog
    virtualenv: /opt/blog/.venv
    settings: blog.settings
  check_mode: true
  diff: true
  register: plan
"""

RETURN = r"""
plan:
  description: The migrations that separate the database from the wanted state, in order.
  returned: success
  type: list
  elements: dict
  sample:
    - app: articles
      name: 0004_article_slug
      backwards: false
      operations: [Add field slug to article]
applied:
  description: The migrations that were applied, with the seconds each took; in check mode empty.
  returned: success or a migration failed
  type: list
  elements: dict
  sample:
    - app: articles
      name: 0004_article_slug
      seconds: 0.012
      fake: false
unapplied:
  description: The migrations that were undone, in the same form as RV(applied).
  returned: success or a migration failed
  type: list
  elements: dict
  sample: []
database:
  description: The database; its name is given for SQLite only, where it is a path.
  returned: success
  type: dict
  sample:
    alias: default
    vendor: sqlite
    name: /srv/django/shop/shared/db.sqlite3
predicted:
  description: False when check mode could not look into the project because its interpreter does not exist yet.
  returned: in check mode, when it is false
  type: bool
  sample: false
traceback:
  description: The exception that Django raised.
  returned: when a migration failed or the project does not start
  type: str
  sample: "Traceback (most recent call last): ..."
"""

from ansible_collections.emperor.web.plugins.module_utils import _django_migrate
from ansible_collections.emperor.web.plugins.module_utils._django import DjangoModule


def diff_of(plan: list[dict], alias: str) -> dict[str, str]:
    """The plan as Ansible's diff: a line for each migration that comes, or goes, with its operations."""
    before, after = [], []
    for entry in plan:
        lines = [f"{entry['app']}.{entry['name']}"]
        lines += [f"    {operation}" for operation in entry["operations"]]
        (before if entry["backwards"] else after).extend(lines)
    header = f"migrations of database {alias}"
    return {
        "before_header": header,
        "after_header": header,
        "before": "".join(line + "\n" for line in before),
        "after": "".join(line + "\n" for line in after),
    }


def main() -> None:
    """Ask for the plan and, outside check mode, have it applied."""
    django = DjangoModule(
        {
            "app": {"type": "str"},
            "migration": {"type": "str"},
            "database": {"type": "str", "default": "default"},
            "fake": {"type": "bool", "default": False},
            "skip_checks": {"type": "bool", "default": False},
        },
        required_by={"migration": ("app",)},
    )
    django.skip_unbuilt(changed=False, plan=[], applied=[], unapplied=[])
    options = {name: django.params[name] for name in ("app", "migration", "database", "fake", "skip_checks")}
    answer = django.ask(_django_migrate, **options)
    vendor, name = answer.pop("vendor"), answer.pop("name")
    database = {"alias": django.params["database"], "vendor": vendor} | ({"name": name} if vendor == "sqlite" else {})
    django.module.exit_json(
        changed=bool(answer["plan"]),
        database=database,
        diff=diff_of(answer["plan"], django.params["database"]),
        **answer,
    )


if __name__ == "__main__":
    main()
