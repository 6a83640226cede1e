# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options and notes that the Django modules share."""

    DOCUMENTATION = r"""
options:
  project:
    description:
      - Folder of the project on the host, the one that has C(manage.py).
      - If it has a C(manage.py), that file is run first, so paths and variables that it sets up are in effect.
        It need not be executable.
    type: path
    required: true
  settings:
    description:
      - Settings module, for example V(shop.settings). It wins over all that C(manage.py) says.
      - Without it C(DJANGO_SETTINGS_MODULE) of the environment counts, then what C(manage.py) sets. The module fails
        when there is neither.
    type: str
  virtualenv:
    description:
      - Virtual environment that has the project's packages.
      - Exactly one of O(virtualenv) and O(python) is needed.
    type: path
  python:
    description: Interpreter that has the project's packages, where there is no virtual environment.
    type: path
  environment:
    description:
      - Environment variables of the project; they win over those of O(environment_file).
      - The project sees these, C(PATH), C(LANG) and C(LC_ALL) (both V(C.UTF-8)), and nothing of the person who runs
        Ansible.
    type: dict
  environment_file:
    description:
      - File on the host with environment variables, a JSON object or lines C(NAME=value).
      - Values that look like secrets are kept out of everything that the module returns.
    type: path
  user:
    description:
      - User to run as. The module drops its privileges itself, so neither C(acl) nor world-readable temporary
        files are needed; it has to run as root then.
      - Without it the project's code runs as the user of the task, with C(become) that is root.
    type: str
  timeout:
    description: Seconds after which Django and all its children are ended.
    type: int
    default: 600
requirements:
  - Django 4.2 or later in the project's environment
notes:
  - Secrets of the environment are kept out of what the module returns, and so are C(SECRET_KEY) and the passwords of
    C(DATABASES), wherever the settings have them from.
  - With the O(environment_file) of a release that this run deploys, and has the deploy lock for, a failure also marks
    the release as failed, see M(emperor.web.uwsgi_vassal).
  - Threads and exit handlers of the project have 10 seconds to end when the work is done.
  - In check mode, on a host where the interpreter does not exist yet, the module reports
    RV(ignore:predicted=false) and no change, because there is nothing it could ask.
"""
