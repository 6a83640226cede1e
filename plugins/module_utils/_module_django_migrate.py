# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What M(emperor.web.django_migrate) does, for itself and for M(emperor.web.steps)."""

from __future__ import annotations

import re
from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._django import DjangoModule
from ansible_collections.emperor.web.plugins.module_utils._django_parts import MIGRATE

ARGUMENTS = {
    "app": {"type": "str"},
    "migration": {"type": "str"},
    "targets": {"type": "dict", "default": {}},
    "database": {"type": "str", "default": "default"},
    "allow": {"type": "list", "elements": "str", "default": []},
    "fake": {"type": "bool", "default": False},
    "fake_initial": {"type": "bool", "default": False},
    "run_syncdb": {"type": "bool", "default": False},
    "prune": {"type": "bool", "default": False},
    "skip_checks": {"type": "bool", "default": False},
    "check_missing": {"type": "bool", "default": False},
    "check_databases": {"type": "bool", "default": False},
    "check_unknown": {"type": "bool", "default": False},
    "lock_wait": {"type": "int", "default": 300},
    "lock_timeout": {"type": "int", "default": 5},
    "statement_timeout": {"type": "int"},
}


def invalid(params: dict) -> str | None:
    """What is wrong with the options, beyond what Ansible looks at."""
    wrong = [entry for entry in params["allow"] if entry != "all" and not re.fullmatch(r"\w+\.\w+", entry)]
    if wrong:
        return f"allow has {wrong[0]}; an entry is app.migration_name, as shop.0004_remove_item_colour, or all"
    together = [name for name in ("app", "prune", "run_syncdb") if params["targets"] and params[name]]
    if together:
        return f"targets names apps and their migrations itself, so it goes without {together[0]}"
    unclear = [app for app, name in params["targets"].items() if not name]
    if unclear:
        return f"targets has no migration for {unclear[0]}; write its name, or zero to undo all"
    alone = [name for name in ("migration", "fake", "fake_initial", "run_syncdb") if params["prune"] and params[name]]
    if alone:
        return f"prune does nothing else, so it goes without {alone[0]}; prune in a task of its own"
    if params["run_syncdb"] and params["migration"]:
        return "run_syncdb makes all tables of an app without migrations, so it goes without migration"
    negative = [name for name in ("lock_wait", "lock_timeout", "statement_timeout") if (params[name] or 0) < 0]
    if negative:
        return f"{negative[0]} is {params[negative[0]]}; give seconds, 0 or more"
    return None


def diff_of(answer: dict, alias: str) -> dict[str, str]:
    """The plan as Ansible's diff: a line for each migration that comes, or goes, with its operations and its SQL."""
    before: list[str] = []
    after: list[str] = []
    for entry in answer["plan"]:
        lines = [f"{entry['app']}.{entry['name']}"]
        # The SQL has the operations as comments.
        details = entry.get("sql") or entry["operations"]
        lines += [f"    {detail}" for detail in details]
        (before if entry["backwards"] else after).extend(lines)
    before += [f"record of {name}" for name in answer["pruned"]]
    after += [f"record of {name}" for name in answer["recorded"]]
    after += [f"table {name}" for name in answer["tables"]]
    header = f"migrations of database {alias}"
    return {
        "before_header": header,
        "after_header": header,
        "before": "".join(line + "\n" for line in before),
        "after": "".join(line + "\n" for line in after),
    }


def warn_of_others(django: DjangoModule, others: list[dict]) -> None:
    """Say what other databases lack."""
    for entry in others:
        if entry.get("error"):
            django.module.warn(f"database {entry['alias']} was not looked at: {entry['error']}")
        elif entry["unapplied"]:
            django.module.warn(
                f"database {entry['alias']} lacks {len(entry['unapplied'])} migrations, the first is "
                f"{entry['unapplied'][0]}; apply them with database: {entry['alias']}"
            )


def main(create: Callable[..., AnsibleModule] = AnsibleModule) -> None:
    """Ask for the plan and, outside check mode, have it applied."""
    django = DjangoModule(
        ARGUMENTS,
        create=create,
        required_by={"migration": ("app",)},
        required_if=[("prune", True, ("app",))],
    )
    module = django.module
    wrong = invalid(django.params)
    if wrong:
        module.fail_json(msg=wrong)
    empty: dict[str, list] = {
        name: [] for name in ("plan", "applied", "unapplied", "unsafe", "tables", "pruned", "recorded")
    }
    django.skip_unbuilt(changed=False, before={}, **empty)
    options = {name: django.params[name] for name in ARGUMENTS}
    answer = django.ask("migrate", MIGRATE, diff=module._diff, **options)
    vendor, name = answer.pop("vendor"), answer.pop("name")
    database = {"alias": django.params["database"], "vendor": vendor} | ({"name": name} if vendor == "sqlite" else {})
    warn_of_others(django, answer.get("others", []))
    diff = diff_of(answer, django.params["database"])
    for entry in answer["plan"]:
        entry.pop("sql", None)
    if django.params["environment_file"]:
        from ansible_collections.emperor.web.plugins.module_utils._outcome import note_migrations

        note_migrations(module, django.params["environment_file"], [*answer["unapplied"], *answer["applied"]])
    changed = any(answer[what] for what in ("plan", "tables", "pruned", "recorded"))
    module.exit_json(changed=changed, database=database, diff=diff, **answer)
