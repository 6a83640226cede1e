# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What M(emperor.web.nginx_config) does, for itself and for M(emperor.web.settled)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._config_error import ConfigError
from ansible_collections.emperor.web.plugins.module_utils._config_service import Service
from ansible_collections.emperor.web.plugins.module_utils._config_set import ConfigSet, Daemon, Wanted
from ansible_collections.emperor.web.plugins.module_utils._config_swap import Change, State, unfinished
from ansible_collections.emperor.web.plugins.module_utils._files import explain_os_error

FILE_ARGUMENTS = {
    "path": {"type": "str", "required": True},
    "content": {"type": "str"},
    "mode": {"type": "str", "default": "0644"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
ARGUMENTS = {
    "root": {"type": "path", "default": "/etc/nginx"},
    "files": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": FILE_ARGUMENTS,
        "required_if": [("state", "present", ("content",))],
    },
    "owns": {"type": "list", "elements": "str", "default": []},
    "validate": {"type": "str", "default": "nginx -t -q -c %s/nginx.conf"},
    "refuse": {"type": "list", "elements": "str", "default": ['conflicting server name "(?!_?")']},
    "reload": {"type": "str", "default": "systemctl try-reload-or-restart nginx"},
    "service": {"type": "str"},
    "pid_file": {"type": "str", "default": "/run/nginx.pid"},
}


def wanted_file(options: dict) -> Wanted:
    """One entry of O(files)."""
    try:
        mode = int(options["mode"], 8)
    except ValueError:
        raise ConfigError(
            f"mode {options['mode']!r} of {options['path']} is no octal number; write it as '0644'"
        ) from None
    return Wanted(options["path"], options["content"] if options["state"] == "present" else None, mode)


def daemon(options: dict) -> Daemon:
    """The commands, once it is sure that the regular expressions are some."""
    for pattern in options["refuse"]:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ConfigError(f"{pattern!r} in refuse is no regular expression: {error}") from None
    return Daemon(options["validate"], options["reload"], options["pid_file"], tuple(options["refuse"]))


def diff_of(changes: list[Change]) -> list[dict[str, str]]:
    """The changes as Ansible's diff, one entry a file."""
    return [
        {
            "before_header": header(change.path, change.before, change.after),
            "after_header": header(change.path, change.after, change.before),
            "before": text(change.before),
            "after": text(change.after),
        }
        for change in changes
    ]


def service_diff(service: Service) -> dict[str, str]:
    """What a service lacks, as one more entry of Ansible's diff."""
    lacking = "".join(f"not {what}\n" for what in service.lacks)
    return {
        "before_header": f"service {service.name}",
        "after_header": f"service {service.name}",
        "before": lacking,
        "after": lacking.replace("not ", ""),
    }


def header(path: str, state: State, other: State) -> str:
    """A path, with what the text does not show."""
    if not state:
        return f"{path} (absent)"
    if state.link is not None:
        return f"{path} -> {state.link}"
    rights, others = ((f"{it.mode:04o}", "{}:{}".format(*it.owner)) for it in (state, other))
    shown = (
        [one for one, another in zip(rights, others, strict=True) if one != another]
        if other and other.link is None
        else []
    )
    return f"{path} ({' '.join(shown)})" if shown else path


def text(state: State) -> str:
    """The content, as far as it is text."""
    return (state.content or "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def configure(module: AnsibleModule) -> dict:
    """Compare, test the whole, swap; returns what the module returns."""
    given = module.params
    files = [wanted_file(options) for options in given["files"]]
    config = ConfigSet(given["root"], files, daemon(given), tuple(given["owns"]))
    tested = config.daemon.installed()
    if not tested and not module.check_mode:
        raise ConfigError(f"{given['validate'].split()[0]} is not installed, so nothing can test the files")
    with config.locked():
        service = Service(given["service"]) if given["service"] and tested else None
        config.daemon = replace(config.daemon, service=service)
        if unfinished(config.root):
            module.warn("a run before this one was killed while it changed the files; what it left is put right")
        left = config.heal(dry_run=module.check_mode) if tested else []
        changes = config.changes()
        warnings = []
        if tested:
            warnings = config.test_staged(changes) if changes else config.test(config.given_root)
        if changes and not module.check_mode:
            config.apply(changes)
        if service and not module.check_mode:
            service.complete()
    for warning in warnings:
        module.warn(f"the live configuration has this already: {warning}")
    more: dict = {} if module.check_mode or not changes else {"atomic": config.atomic}
    changes = left + changes
    diff = diff_of(changes)
    names = list(dict.fromkeys(change.path for change in changes))
    if service:
        more["service_changes"] = service.lacks
        diff += [service_diff(service)] if service.lacks else []
    return {"changed": bool(diff), "files": names, "tested": tested, "diff": diff, **more}


def main(create: Callable[..., AnsibleModule] = AnsibleModule) -> None:
    """Run the module."""
    module = create(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = configure(module)
    except ConfigError as error:
        module.fail_json(msg=str(error), **(error.outcome.report() if error.outcome else {}))
    except OSError as error:
        root = module.params["root"]
        module.fail_json(msg=f"the files before are in place; {explain_os_error(error, root, '/tmp')}")
    module.exit_json(**result)
