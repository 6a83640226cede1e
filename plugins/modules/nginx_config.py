#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_config
short_description: Change a set of Nginx configuration files, all of them or none
version_added: 0.1.0
description:
  - Copies the live configuration, puts the given files into the copy, and has Nginx test the copy. Only when it is
    valid the files are swapped in, tested once more where they are, and Nginx is reloaded.
  - When the reload fails, or Nginx starts no new workers, the files before are put back and loaded again.
  - So a broken file never stays behind, and a second run with the same broken input fails again.
  - With nothing to change the live configuration is still tested.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
attributes:
  diff_mode:
    support: full
    details: Contents are shown; keep secrets in files of their own and include them.
options:
  root:
    description: Folder of the configuration.
    type: path
    default: /etc/nginx
  files:
    description: The files. Other files below O(root) are left as they are.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path relative to O(root).
        type: str
        required: true
      content:
        description: Content of the file; needed unless O(files[].state=absent).
        type: str
      mode:
        description: Permissions, in octal and quoted.
        type: str
        default: "0644"
      state:
        description: Whether the file, or link, is to be there.
        type: str
        choices: [present, absent]
        default: present
  validate:
    description: Command that tests a configuration; V(%s) stands for its folder.
    type: str
    default: nginx -t -q -c %s/nginx.conf
  reload:
    description: Command that makes the running daemon take the files.
    type: str
    default: systemctl try-reload-or-restart nginx
  pid_file:
    description: File with the process id of the daemon, to see whether new workers start; empty to not look.
    type: str
    default: /run/nginx.pid
notes:
  - In the copy that is tested, the text of O(root) is replaced by the copy's folder, so absolute includes of files
    below O(root) are tested as they will be.
"""

EXAMPLES = r"""
- name: Add two sites
  emperor.web.nginx_config:
    files:
      - path: conf.d/shop.conf
        content: "{{ lookup('ansible.builtin.template', 'shop.conf.j2') }}"
      - path: conf.d/blog.conf
        content: "{{ lookup('ansible.builtin.template', 'blog.conf.j2') }}"

- name: Remove the site that the package brings
  emperor.web.nginx_config:
    files:
      - path: sites-enabled/default
        state: absent

- name: Change HAProxy's configuration in the same way
  emperor.web.nginx_config:
    root: /etc/haproxy
    validate: haproxy -c -q -f %s/haproxy.cfg
    reload: systemctl reload haproxy
    pid_file: ""
    files:
      - path: haproxy.cfg
        content: "{{ lookup('ansible.builtin.template', 'haproxy.cfg.j2') }}"
"""

RETURN = r"""
files:
  description: Paths of the files that were changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [conf.d/shop.conf]
tested:
  description: Whether the configuration was tested; false in check mode where the daemon is not installed yet.
  returned: success
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._config_set import ConfigError, ConfigSet, Found, Wanted

FILE_ARGUMENTS = {
    "path": {"type": "str", "required": True},
    "content": {"type": "str"},
    "mode": {"type": "str", "default": "0644"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
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


def diff_of(changes: list[tuple[Wanted, Found]]) -> list[dict[str, str]]:
    """The changes as Ansible's diff, one entry a file."""
    return [
        {
            "before_header": f"{file.path}{f' -> {found.link}' if found.link else ''}",
            "after_header": file.path if file.content is not None else f"{file.path} (absent)",
            "before": found.content or "",
            "after": file.content or "",
        }
        for file, found in changes
    ]


def main() -> None:
    """Compare, test the whole, swap."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/etc/nginx"},
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": FILE_ARGUMENTS,
                "required_if": [("state", "present", ("content",))],
            },
            "validate": {"type": "str", "default": "nginx -t -q -c %s/nginx.conf"},
            "reload": {"type": "str", "default": "systemctl try-reload-or-restart nginx"},
            "pid_file": {"type": "str", "default": "/run/nginx.pid"},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        files = [wanted_file(options) for options in given["files"]]
        config = ConfigSet(given["root"], files, given["validate"], given["reload"], given["pid_file"])
        changes = config.changes()
        tested = config.can_test()
        if not tested and not module.check_mode:
            raise ConfigError(f"{given['validate'].split()[0]} is not installed, so nothing can test the files")
        if tested and changes:
            with config.staged() as stage:
                config.test(stage)
        elif tested:
            config.test(config.root)
        if changes and not module.check_mode:
            config.apply(changes)
    except ConfigError as error:
        module.fail_json(msg=str(error), **(error.outcome.report() if error.outcome else {}))
    except OSError as error:
        module.fail_json(msg=f"the files before are in place; {error}")
    module.exit_json(
        changed=bool(changes), files=[file.path for file, _found in changes], tested=tested, diff=diff_of(changes)
    )


if __name__ == "__main__":
    main()
