# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Which files each action takes in the app's interpreter; see _django_runner."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ansible_collections.emperor.web.plugins.module_utils._django import source_of

if TYPE_CHECKING:  # Ansible sends what is imported anywhere; of these only the texts are needed, see source_of
    from ansible_collections.emperor.web.plugins.module_utils import (  # noqa: F401
        _django_check,
        _django_collectstatic,
        _django_foresight,
        _django_migrate,
        _django_migration_apply,
        _django_migration_guard,
        _django_migration_plan,
        _django_migration_records,
        _django_migration_session,
        _django_static_changes,
        _django_static_collection,
        _django_static_compress,
        _django_static_files,
        _django_static_remote,
        _django_static_sources,
        _django_static_state,
        _django_static_storage,
    )

COLLECTSTATIC = (
    "_django_static_files",
    "_django_static_state",
    "_django_static_sources",
    "_django_static_changes",
    "_django_static_compress",
    "_django_static_storage",
    "_django_static_collection",
    "_django_static_remote",
    "_django_collectstatic",
)
RECORDS = ("_django_migration_session", "_django_migration_records")
MIGRATE = (
    *RECORDS,
    "_django_migration_guard",
    "_django_migration_plan",
    "_django_migration_apply",
    "_django_migrate",
)
CHECK = ("_django_check",)
# A check that is asked what the others would have to do.
CHECK_AND_FORESEE = (*CHECK, *RECORDS, *COLLECTSTATIC, "_django_foresight")

if not hasattr(__spec__.loader, "get_data"):
    # Mitogen's loader gets texts by a thread, which a process that is forked for an app lacks: it would wait for ever.
    for _part in ("_django_runner", *CHECK_AND_FORESEE, *MIGRATE):
        source_of(_part)


def static_code() -> str:
    """A digest of what runs in the app's interpreter: what another version has remembered is not relied on."""
    return hashlib.sha256("".join(map(source_of, COLLECTSTATIC)).encode()).hexdigest()
