#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: system_locale
short_description: Give every login, job and service of a host a UTF-8 locale that exists
version_added: 0.1.0
description:
  - Generates locales, makes one the system's default (C(/etc/default/locale)), takes C(LANG), C(LANGUAGE) and C(LC_*)
    out of C(/etc/environment), and sets the host's locale over what SSH clients send. C(LC_ALL) is set nowhere.
  - systemd and sshd read what has changed; open sessions keep what they have.
  - At the end a program starts in the default locale, as proof.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
requirements:
  - The Debian package C(locales), for locales other than V(C.UTF-8).
options:
  default:
    description:
      - Locale of the system. It has to be a UTF-8 one, and is generated unless it is V(C.UTF-8), which every host has.
    type: str
    default: C.UTF-8
  generate:
    description: More UTF-8 locales to generate. One that is not given any more stays.
    type: list
    elements: str
    default: []
  ssh:
    description:
      - V(host) gives SSH sessions the host's locale, whatever the client sends, by a drop-in for C(sshd).
      - V(client) leaves that to the client, which may then bring a locale that does not exist here.
    type: str
    choices: [host, client]
    default: host
"""

EXAMPLES = r"""
- name: Have programs speak English and write UTF-8
  emperor.web.system_locale:
    default: C.UTF-8

- name: Have dates and sorting in German, and Korean for one project
  emperor.web.system_locale:
    default: de_DE.UTF-8
    generate: [ko_KR.UTF-8]

- name: Leave the locale of SSH sessions to the clients
  emperor.web.system_locale:
    ssh: client
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/locale.gen, de_DE.UTF-8 generated, /etc/default/locale]
"""

from ansible_collections.emperor.web.plugins.module_utils._module_system_locale import main

if __name__ == "__main__":
    main()
