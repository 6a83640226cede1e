# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What the modules share that move the traffic to a release: where the app is, and how it is asked."""

    DOCUMENTATION = r"""
options:
  name:
    description: Name of the app.
    type: str
    required: true
  root:
    description: Folder of the app. C(/srv/django/) and O(name) unless given.
    type: path
  vassals:
    description: Folder that the app's Emperor watches. C(/etc/uwsgi/emperor/) and O(name) unless given.
    type: path
  run_directory:
    description: Folder of the app's sockets. C(/run/emperor/) and O(name) unless given.
    type: path
  unit:
    description: Systemd unit of the app's Emperor. C(uwsgi-emperor@) and O(name) unless given.
    type: str
  host:
    description: Host name to ask for, one that the app accepts (C(ALLOWED_HOSTS)).
    type: str
    default: localhost
  script_name:
    description: Path below which the app is, without a slash at its end, for example V(/shop); empty for a whole site.
    type: str
    default: ""
  health_path:
    description: Path that a healthy release answers. It should use what the app needs, the database for example.
    type: str
    default: /
  health_status:
    description:
      - Statuses of a healthy answer, as numbers and ranges.
      - V(404) is not among them, because a wrong path would pass then.
    type: str
    default: 200-399,401,403
  health_text:
    description: Text that the body of a healthy answer has. Any body will do unless given.
    type: str
  health_count:
    description: How many good answers in a row a release has to give.
    type: int
    default: 3
  https:
    description: Tell the app that the request came over HTTPS, for projects that redirect others.
    type: bool
    default: false
  timeout:
    description: Seconds in which the release has to become healthy.
    type: int
    default: 60
  confirm:
    description:
      - URL on this host where the web server listens, for example V(http://127.0.0.1/); the path is O(script_name) and
        O(health_path).
      - Not asked unless given.
    type: str
  overlap:
    description:
      - Whether the new release starts while the live one runs. It is refused before it starts when the memory that is
        available, of the machine and of the unit's control group, is clearly less than what it would need.
      - V(false) is for hosts that cannot hold both. The live release is stopped before the new one starts, and is
        started again when the new one fails. In between visitors get status 502 from the web server. Should this module
        be killed then, a timer of systemd starts the live release again, by a program of the role
        P(emperor.web.uwsgi#role). Nothing is stopped where systemd does not take that timer.
    type: bool
    default: true
  drain:
    description: Seconds that the vassal before has to finish its requests.
    type: int
    default: 60
"""
