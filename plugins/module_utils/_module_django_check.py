# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What M(emperor.web.django_check) does, for itself and for M(emperor.web.steps)."""

from __future__ import annotations

import re
from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._django import DjangoModule
from ansible_collections.emperor.web.plugins.module_utils._django_parts import CHECK, CHECK_AND_FORESEE, static_code

FORESEEN = ["migrate", "unknown_migrations", "collectstatic"]

LEVELS = ("debug", "info", "warning", "error", "critical")


def deployment_errors(project: dict) -> list[dict]:
    """The mistakes that Django only warns of, or does not mention, and that no public site may have."""
    found = []
    if project["debug"]:
        found.append(("emperor.E001", "DEBUG is on.", "Set DEBUG = False, or take it from the environment."))
    if project["insecure_key"]:
        hint = "Read SECRET_KEY from the environment; the role django generates one and keeps it on the host."
        found.append(("emperor.E002", f"SECRET_KEY {project['insecure_key_reason']}.", hint))
    if "*" in project["allowed_hosts"]:
        hint = "List the domains of the site, or take ALLOWED_HOSTS from the environment."
        found.append(("emperor.E003", "ALLOWED_HOSTS accepts every host name.", hint))
    return [{"id": i, "level": "error", "object": "settings", "msg": m, "hint": h} for i, m, h in found]


def serious(messages: list[dict], fail_level: str, accept: list[str]) -> list[dict]:
    """The messages that are a reason to fail."""
    bound = LEVELS.index(fail_level)
    return [m for m in messages if LEVELS.index(m["level"]) >= bound and m["id"] not in accept]


def unmatched(messages: list[dict], accept: list[str]) -> list[str]:
    """Entries of accept that no message has: a slip, or what was accepted is mended."""
    found = {message["id"] for message in messages}
    return [entry for entry in accept if entry not in found]


def sentence(message: dict) -> str:
    """A message on one line."""
    parts = [
        f"({message['id']})" if message["id"] else "",
        message["object"] and f"{message['object']}:",
        message["msg"],
    ]
    return " ".join(part for part in [*parts, message["hint"]] if part)


def main(create: Callable[..., AnsibleModule] = AnsibleModule) -> None:
    """Ask the project, then judge its answer."""
    django = DjangoModule(
        {
            "deploy": {"type": "bool", "default": False},
            "fail_level": {"type": "str", "choices": list(LEVELS[1:]), "default": "error"},
            "accept": {"type": "list", "elements": "str", "default": []},
            "tags": {"type": "list", "elements": "str", "default": []},
            "databases": {"type": "list", "elements": "str", "default": []},
            "wsgi": {"type": "str"},
            "foresee": {"type": "list", "elements": "str", "choices": FORESEEN, "default": []},
            "precompress": {"type": "list", "elements": "str", "default": []},
            "refuse": {"type": "list", "elements": "str", "default": []},
        },
        create=create,
    )
    if not all(re.fullmatch(r"\S+", entry) for entry in django.params["accept"]):
        django.module.fail_json(msg="accept: an id is a word without blanks, for example security.W004")
    if django.params["refuse"]:
        django.action = "check"  # which is the step of the release that fails
        django.fail(msg="; ".join(django.params["refuse"]))
    django.skip_unbuilt(changed=False)
    options = {name: django.params[name] for name in ("deploy", "tags", "databases", "wsgi")}
    foresee = django.params["foresee"]
    if foresee:
        options |= {"precompress": django.params["precompress"], "code": static_code()}
    answer = django.ask("check", CHECK_AND_FORESEE if foresee else CHECK, foresee=foresee, **options)
    if django.params["deploy"]:
        answer["messages"] += deployment_errors(answer["project"])
    if not django.params["tags"]:
        for entry in unmatched(answer["messages"], django.params["accept"]):
            django.module.warn(f"accept: no message has the id {entry}; ids look like security.W004")
    reasons = serious(answer["messages"], django.params["fail_level"], django.params["accept"])
    if reasons:
        listed = "; ".join(sentence(message) for message in reasons)
        django.fail(msg=f"the project is not fit to serve: {listed}", **answer)
    django.module.exit_json(changed=False, **answer)
