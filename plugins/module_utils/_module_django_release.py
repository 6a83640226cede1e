# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What M(emperor.web.django_release) does, for itself and for M(emperor.web.steps)."""

from __future__ import annotations

from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._build import Builder, WantsArchive
from ansible_collections.emperor.web.plugins.module_utils._environment import take_environment, url_passwords
from ansible_collections.emperor.web.plugins.module_utils._files import explain_os_error, full
from ansible_collections.emperor.web.plugins.module_utils._git import CannotTell
from ansible_collections.emperor.web.plugins.module_utils._lock import LOCK_ARGUMENTS, Holder, Lock, locked
from ansible_collections.emperor.web.plugins.module_utils._process import UserError, refuse_person
from ansible_collections.emperor.web.plugins.module_utils._prune import prune
from ansible_collections.emperor.web.plugins.module_utils._room import RoomError
from ansible_collections.emperor.web.plugins.module_utils._source import SourceError, kind
from ansible_collections.emperor.web.plugins.module_utils._uwsgi import UwsgiError

STATES = ["present", "resolved", "pruned", "locked", "unlocked"]

ARGUMENTS = LOCK_ARGUMENTS | {
    "name": {"type": "str", "required": True},
    "root": {"type": "path"},
    "state": {"type": "str", "choices": STATES, "default": "present"},
    "source": {"type": "str"},
    "login": {"type": "str", "no_log": True},
    "version": {"type": "str"},
    "revision": {"type": "str"},
    "archive": {"type": "path"},
    "deploy_key": {"type": "str", "no_log": True},
    "known_hosts": {"type": "str"},
    "project": {"type": "str"},
    "settings": {"type": "str"},
    "wsgi": {"type": "str"},
    "shared_folders": {"type": "list", "elements": "str", "default": []},
    "requirements": {"type": "str"},
    "extras": {"type": "list", "elements": "str", "default": []},
    "groups": {"type": "list", "elements": "str", "default": []},
    "installer": {"type": "str", "choices": ["uv", "pip"], "default": "uv"},
    "uv": {"type": "path"},
    "uv_version": {"type": "str", "default": "0.13.9"},
    "python": {"type": "path", "default": "/usr/bin/python3"},
    "python_version": {"type": "str"},
    "environment": {"type": "dict", "default": {}, "no_log": True},
    "secret_key_names": {
        "type": "list",
        "elements": "str",
        "default": ["SECRET_KEY", "DJANGO_SECRET_KEY"],
        "no_log": False,
    },
    "uwsgi": {"type": "dict", "default": {}},
    "web_group": {"type": "str", "default": "www-data"},
    "run_directory": {"type": "path"},
    "index_url": {"type": "str", "no_log": True},
    "ca_certificates": {"type": "str"},
    "proxy": {"type": "str", "no_log": True},
    "timeout": {"type": "int", "default": 1800},
    "keep": {"type": "int", "default": 3},
}


def resolved(builder: Builder) -> dict:
    """Find out what the source means now; a host without Git cannot always tell yet."""
    refuse_person(builder.options["name"])
    builder.check()
    try:
        return {"changed": False, "revision": builder.revision(), "live": builder.layout.live() or ""}
    except CannotTell as reason:
        return {"changed": False, "msg": str(reason), "live": builder.layout.live() or ""}


def act(module: AnsibleModule, builder: Builder) -> dict:
    """Do what O(state) asks for."""
    state, root = module.params["state"], builder.layout.root
    if state == "unlocked":
        if module.params["holder"] and not module.check_mode:
            Lock(builder.options["name"], root).release(Holder(**module.params["holder"]).token)
        return {"changed": False}
    if state == "resolved":
        return resolved(builder)
    if state == "pruned":
        with locked(module, root, what="pruning"):
            return prune(
                builder.layout, module.params["keep"], check_mode=module.check_mode, timeout=module.params["timeout"]
            )
    builder.check()
    if state == "locked":
        module.params["lock"] = "run"
    what = module.params["version"] or module.params["source"] or "no release yet"
    with locked(module, root, what=what, take=True):
        return builder.present() if state == "present" else {"changed": False}


def main(create: Callable[..., AnsibleModule] = AnsibleModule) -> None:
    """Check the options, and report."""
    module = create(
        argument_spec=ARGUMENTS,
        required_if=[("state", state, ("source",)) for state in ("present", "resolved")],
        supports_check_mode=True,
    )
    environment = take_environment(module)
    for url in (module.params["index_url"], module.params["proxy"], f"x://{module.params['login']}@x"):
        module.no_log_values |= url_passwords(url or "")
    builder = Builder(module.params, environment, module.check_mode)
    local = module.params["state"] in ("present", "resolved") and kind(module.params["source"]) == "path"
    try:
        if local and not (module.params["revision"] or module.params["archive"]):
            module.fail_json(
                msg="a source on the controller needs the action plugin; run the module as a task of a playbook"
            )
        result = act(module, builder)
    except WantsArchive:
        module.exit_json(changed=False, wants_archive=True)  # the action plugin sends it and calls again
    except CannotTell as reason:
        if not module.check_mode:
            module.fail_json(msg=f"app {module.params['name']}: {reason}; install it first")
        result = builder.unknown() | {
            "msg": "the host cannot ask the source yet, so check mode does not know the release"
        }
    except (SourceError, UwsgiError, UserError, RoomError) as error:
        module.fail_json(msg="; ".join([f"app {module.params['name']}: {error}", *full(builder.layout.root)]))
    except OSError as error:
        module.fail_json(msg=f"app {module.params['name']}: {explain_os_error(error, builder.layout.root)}")
    module.exit_json(diff=difference(result), **result)


def difference(result: dict) -> dict:
    """Which release there will be, or which are gone, as Ansible's diff."""
    if "removed" in result:
        return {"before": "".join(f"{path}\n" for path in result["removed"]), "after": ""}
    if not result["changed"] or "release" not in result:
        return {}
    return {"before": f"live: {result['live'] or 'none'}\n", "after": f"built: {result['release']}\n"}
