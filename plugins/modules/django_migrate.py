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
  - Two runs never migrate a database at the same time, from whatever host. The second one waits, looks again, and finds
    nothing left to do. PostgreSQL, MySQL, MariaDB and SQLite hold the lock, and let it go when its holder dies.
    Other databases have no lock.
  - Steps that destroy data, or break the code that runs until the release is live, are refused before anything changes,
    in check mode too, unless O(allow) has them. See the notes.
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
  targets:
    description:
      - Migrations to reach in several apps at once, each by the app's label, as O(app) and O(migration) name one.
      - All of it is one plan, so that what must not be done is refused before any of it is.
    type: dict
    default: {}
  database:
    description: Alias of the database.
    type: str
    default: default
  allow:
    description:
      - Migrations that may destroy data or break running code, each as C(app.migration_name), or V(all).
      - It is safe to leave entries here after they were applied.
    type: list
    elements: str
    default: []
  fake:
    description: Record the migrations without running them. Nothing is refused then.
    type: bool
    default: false
  fake_initial:
    description: Record the first migrations of an app without running them, if all their tables and columns are there.
    type: bool
    default: false
  run_syncdb:
    description: Make the tables of apps without migrations too; costs one more query.
    type: bool
    default: false
  prune:
    description:
      - Delete the records of migrations that the project no longer has, for O(app), and do nothing else.
      - Refused while a squashed migration still names one of them in C(replaces).
    type: bool
    default: false
  skip_checks:
    description: Do not run the system checks before the migrations.
    type: bool
    default: false
  check_missing:
    description:
      - Fail if models have changes that no migration has. Costs a run of the autodetector each time, and applications
        of others may have such changes, so it is rather for CI.
    type: bool
    default: false
  check_databases:
    description:
      - Also report which migrations the other entries of C(DATABASES) lack, in RV(others) and as a warning. The
        project's database routers count. Costs a connection and a query for each.
    type: bool
    default: false
  check_unknown:
    description:
      - Also return which recorded migrations the project does not have, in RV(unknown), for example because a newer
        release has applied them. Reads the files of all migrations.
    type: bool
    default: false
  lock_wait:
    description:
      - Seconds to wait for another run that migrates the same database. O(timeout) counts this time too.
    type: int
    default: 300
  lock_timeout:
    description:
      - Seconds that a statement of a migration may wait for the lock on a table (C(lock_timeout) of PostgreSQL,
        C(lock_wait_timeout) of MySQL and MariaDB); V(0) is no limit on PostgreSQL, and the server's on the others.
      - A statement that waits for C(ALTER TABLE) lets every later query on the table queue behind it, so one forgotten
        transaction plus a migration stops the site. Five seconds are a hiccup that clients survive, and enough to
        wait out usual queries. A migration that gives up is rolled back on PostgreSQL, and can be run again.
    type: int
    default: 5
  statement_timeout:
    description:
      - Seconds that a statement of a migration may run on PostgreSQL, V(0) for no limit. Without it, what the server
        and the settings say.
    type: int
notes:
  - >-
    Refused unless O(allow) has them are to drop, or rename, a table or a column; to add a column that may not be null
    and has no default in the database; to forbid null where the running code's field, or the new one, has no default;
    to give a column a type that cannot hold all that the old one could; C(RunSQL) with such words in it, as
    C(DROP TABLE), C(TRUNCATE) or C(DELETE FROM); and, when going backwards, all that this takes away, and
    C(RunPython).
  - What the same plan makes may be changed by it, so a new database is never refused. What C(RunPython) does forwards
    nobody can tell, and new constraints and indexes are not judged.
  - Behind PgBouncer in transaction mode the lock works, because it lives as long as a transaction of its own, and
    limits end with each migration's transaction. Only migrations with C(atomic = False) set their limits for the
    session, which another client of the pool may then meet; migrate those over a direct connection. Statement mode
    cannot migrate at all. On a Galera cluster migrate through one node, as C(GET_LOCK) is that node's.
  - While it migrates it needs two connections to PostgreSQL, MySQL or MariaDB.
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
    allow:
      - articles.0004_article_slug

- name: Undo in one plan what two apps got from a newer release
  emperor.web.django_migrate:
    project: /opt/blog
    virtualenv: /opt/blog/.venv
    settings: blog.settings
    targets:
      articles: 0003_article_author
      polls: zero

- name: Drop a column that no running code uses any more
  emperor.web.django_migrate:
    project: /srv/django/shop/current/src
    virtualenv: /srv/django/shop/current/venv
    settings: shop.settings
    environment_file: /srv/django/shop/current/env
    user: shop
    allow:
      - catalog.0012_remove_product_colour

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
      reversible: true
      operations: [Add field slug to article]
unsafe:
  description: The operations of the plan that destroy data or break running code, and why; all allowed on success.
  returned: success or refused
  type: list
  elements: dict
  sample:
    - app: articles
      name: 0005_remove_article_title
      operation: Remove field title from article
      why: drops the column title of articles_article with its data; code that runs meanwhile asks for it
before:
  description: For each app the last migration that was applied before, or V(zero), to come back to by O(migration).
  returned: success or a migration failed
  type: dict
  sample:
    articles: 0003_article_author
    polls: zero
applied:
  description: The migrations that were applied, with the seconds each took; in check mode empty.
  returned: success or a migration failed
  type: list
  elements: dict
  sample:
    - app: articles
      name: 0004_article_slug
      backwards: false
      seconds: 0.012
      fake: false
unapplied:
  description: The migrations that were undone, in the same form as RV(applied).
  returned: success or a migration failed
  type: list
  elements: dict
  sample:
    - app: articles
      name: 0005_article_summary
      backwards: true
      seconds: 0.008
      fake: false
tables:
  description: With O(run_syncdb), the tables of apps without migrations that were made, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: []
pruned:
  description: With O(prune), the records that were deleted, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: []
recorded:
  description:
    - Squashed migrations that were recorded, or would be in check mode, because all that they replace is applied and
      nothing else is to be done. Django needs those records when the replaced files go away.
  returned: success
  type: list
  elements: str
  sample: []
unknown:
  description: Migrations that were recorded before the task, and that the project does not have.
  returned: with O(check_unknown)
  type: list
  elements: str
  sample: [articles.0005_article_summary]
others:
  description: What other databases of the project lack, and the error where one cannot be used.
  returned: with O(check_databases)
  type: list
  elements: dict
  sample:
    - alias: archive
      unapplied: [articles.0004_article_slug]
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

from ansible_collections.emperor.web.plugins.module_utils._module_django_migrate import main

if __name__ == "__main__":
    main()
