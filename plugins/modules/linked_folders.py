#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: linked_folders
short_description: Lead folders of a release to folders that outlive it
version_added: 0.1.0
description:
  - Puts symbolic links where a project expects folders, for uploads say, so that all releases use the same ones.
  - With M(ansible.builtin.file) a placeholder as V(.gitkeep) is in the way, the folder above has to exist, and with its
    default of C(follow) the folder that a link leads to changes its owner.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
options:
  links:
    description: The links.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - Absolute path of the link. Folders above it are made, with owner, group and mode of the one that is there.
          - An empty folder makes room for it, as does one with nothing but V(.gitkeep), V(.gitignore) or V(.keep). A
            file there, or a folder with files, is refused before anything is changed, because the link would hide
            them; see O(links[].merge).
        type: path
        required: true
      target:
        description: Absolute path that the link leads to. It need not exist.
        type: path
        required: true
      merge:
        description:
          - Copy the files of a folder that is in the way to O(links[].target), which has to be there. What is there
            under the same name stays as it is, so that a default picture in the sources never replaces an upload.
          - The copies are made by the owner of the target and belong to it.
        type: bool
        default: false
      name:
        description: What messages call it, the setting for example. The path unless given.
        type: str
        default: ""
"""

EXAMPLES = r"""
- name: Keep uploads and logs over releases
  emperor.web.linked_folders:
    links:
      - path: /opt/shop/releases/7/media
        target: /opt/shop/shared/media
        merge: true
        name: MEDIA_ROOT of shop
      - path: /opt/shop/releases/7/var/log
        target: /opt/shop/shared/log

- name: Let the newest build be the one that is served
  emperor.web.linked_folders:
    links:
      - path: /srv/shop/current
        target: /srv/shop/builds/7

- name: See what would be linked
  emperor.web.linked_folders:
    links: "{{ my_links }}"
  check_mode: true
"""

RETURN = r"""
links:
  description: Paths of the links that were made or led elsewhere, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/opt/shop/releases/7/media]
"""

from ansible_collections.emperor.web.plugins.module_utils._module_linked_folders import main

if __name__ == "__main__":
    main()
