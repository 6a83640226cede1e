# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What M(emperor.web.django_collectstatic) does, for itself and for M(emperor.web.steps)."""

from __future__ import annotations

from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._django import DjangoModule
from ansible_collections.emperor.web.plugins.module_utils._django_parts import COLLECTSTATIC, static_code

OPTIONS = {
    "clear": {"type": "bool", "default": False},
    "link": {"type": "bool", "default": False},
    "ignore": {"type": "list", "elements": "str", "default": []},
    "prune": {"type": "bool", "default": False},
    "precompress": {"type": "list", "elements": "str", "choices": ["gzip", "brotli", "zstd"], "default": []},
    "skip_checks": {"type": "bool", "default": False},
}


def diff_of(answer: dict) -> dict[str, str]:
    """The lists as Ansible's diff: one line a file."""
    header = answer["location"] or "static files"
    return {
        "before_header": header,
        "after_header": header,
        "before": "".join(f"{name}\n" for name in sorted(answer["deleted"] + answer["modified"])),
        "after": "".join(
            f"{name}\n" for name in sorted(answer["added"] + [f"{name} (modified)" for name in answer["modified"]])
        ),
    }


def main(create: Callable[..., AnsibleModule] = AnsibleModule) -> None:
    """Have the files collected, into a copy in check mode, and report the difference."""
    django = DjangoModule(OPTIONS, create=create)
    options = {name: django.params[name] for name in OPTIONS}
    if options["link"] and options["precompress"]:
        django.module.fail_json(
            msg="precompress cannot be combined with link: an edited source would be served through its link at once, "
            "with a compressed file that is out of date beside it; leave one of the two out"
        )
    django.skip_unbuilt(changed=False, added=[], modified=[], deleted=[])
    answer = django.ask("collectstatic", COLLECTSTATIC, code=static_code(), **options)
    for warning in answer.pop("warnings"):
        django.module.warn(warning)
    changed = bool(answer["added"] or answer["modified"] or answer["deleted"])
    django.module.exit_json(changed=changed, diff=diff_of(answer), **answer)
