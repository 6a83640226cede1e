# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What django_migrate does inside the app's interpreter; see _django_runner."""

from __future__ import annotations

from ._django_migration_records import nothing_to_do
from ._django_migration_session import connect


def run(job: dict) -> dict:
    """Bring a database to the wanted state; to compile what does so takes longer than to see that nothing is to do."""
    connection, name = connect(job["database"], job["check_mode"])
    answer = nothing_to_do(job, connection)
    if answer is None:
        from ._django_migration_apply import bring

        answer = bring(job, connection)
    if job["check_databases"]:
        from ._django_migration_plan import other_databases

        answer["others"] = other_databases(job["database"])
    return {**answer, "vendor": connection.vendor, "name": name}
