# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's filters only; it may change in any release.

"""Names of apps, which of C(django_apps) are to be there, to go, and may sleep, and what a step returned of each."""

from __future__ import annotations

import re
from typing import Any

from ansible.errors import AnsibleFilterError

# Accounts of the base system and of packages that a web host has; an app with such a name would be that account.
_RESERVED = frozenset(
    """
    root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc gnats nobody sshd syslog
    systemd-network systemd-resolve systemd-timesync messagebus ubuntu debian admin ec2-user uwsgi nginx postgres
    mysql redis rabbitmq memcache emperor adm sudo staff users shadow utmp tty disk docker
    """.split()  # noqa: SIM905
)
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_WORDS = {"true": True, "yes": True, "false": False, "no": False}


def by_app(results: list[dict[str, Any]] | None) -> dict[str, dict[str, Any]]:
    """Results of M(emperor.web.steps) by the names of their apps."""
    return {one["app"]: one for one in results or []}


def check_name(name: str) -> None:
    """Refuse a name that cannot be a user's, or is one of the system's."""
    if not _NAME.fullmatch(name):
        raise AnsibleFilterError(
            f"django_apps: the name {name!r} cannot be the name of a Unix user; use lower-case letters, digits and -, "
            f"a letter first, 31 characters at most, for example {_suggest(name)}"
        )
    if name in _RESERVED:
        raise AnsibleFilterError(
            f"django_apps: the name {name} belongs to the system; use another one, for example my-{name}"
        )


def _suggest(name: str) -> str:
    return re.sub(r"^[^a-z]+|-+$", "", re.sub(r"[^a-z0-9-]+", "-", name.lower()))[:31] or "shop"


def is_absent(app: dict[str, Any]) -> bool:
    """Whether an entry says that its app is to go; refuses what could be meant in two ways."""
    name, state = app.get("name"), app.get("state")
    if state not in (None, "present", "absent"):
        raise AnsibleFilterError(
            f"django_apps: state of app {name} is {state!r}; write absent for an app that is to go, or leave it out"
        )
    if _purge(app) and state != "absent":
        raise AnsibleFilterError(
            f"django_apps: app {name} has purge, which removes all its data, but not state: absent, so it is not clear "
            f"whether it is to stay; write both, or neither"
        )
    return state == "absent"


def absent(apps: Any, root: str) -> list[dict[str, Any]]:
    """The apps that are to go, as emperor.web.uwsgi_emperor wants them."""
    gone = []
    entries = [dict(app) for app in apps or []]
    for app in filter(is_absent, entries):
        if not app.get("name"):
            raise AnsibleFilterError(
                "django_apps: an entry with state: absent has no name; write for example name: shop"
            )
        name = str(app["name"])
        check_name(name)
        if [other.get("name") for other in entries].count(app["name"]) > 1:
            raise AnsibleFilterError(
                f"django_apps: the name {name} is used twice, once with state: absent; take one of the entries out"
            )
        gone.append({"name": name, "root": f"{root.rstrip('/')}/{name}", "state": "absent", "purge": _purge(app)})
    return gone


def _purge(app: dict[str, Any]) -> bool:
    given = app.get("purge")
    said = _WORDS.get(str(given).lower()) if given is not None else False
    if said is None:
        raise AnsibleFilterError(f"django_apps: purge of app {app.get('name')} is {given!r}; write true or false")
    return said


def sleep_seconds(app: dict[str, Any]) -> int:
    """After how many seconds without a request an app goes to sleep; 0 is never."""
    given = app.get("sleep")
    if given is None or given is False:
        return 0
    if isinstance(given, bool) or not re.fullmatch(r"\d{1,8}", str(given)):
        raise AnsibleFilterError(
            f"django_apps: sleep of app {app['name']} is {given!r}; write the seconds without a request after which it "
            f"goes to sleep, for example 900, or 0 for an app that is always awake"
        )
    return int(given)
