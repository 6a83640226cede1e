# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What the modules share that work under an app's deploy lock."""

    DOCUMENTATION = r"""
options:
  lock:
    description:
      - For how long the module holds the deploy lock of the app on this host, C(deploy.lock) in its folder.
        While one run of Ansible has it, no other one works on the app's releases.
      - V(task) takes it, unless this run has it already, and gives it back at the end of the task.
      - V(run) is for a run of several tasks. M(emperor.web.django_release) with O(ignore:state=present) or
        O(ignore:state=locked) takes it and keeps it until O(ignore:state=unlocked); other tasks need this run to have
        it, and fail before they change anything when it was taken over.
      - V(last) is V(run) for the last of these tasks, which gives the lock back. When it fails the run still has it, to
        put things right, and O(ignore:state=unlocked) gives it back.
      - A run that was killed does not keep its lock. On the controller that started it this is known at once; from
        another one it is taken over when none of its tasks runs on the host and it has not been there for 5 minutes.
    type: str
    choices: [task, run, last]
    default: task
  lock_wait:
    description: Seconds to wait for another run that has the lock; V(0) fails at once.
    type: int
    default: 600
  holder:
    description: The run that takes the lock; set by the action plugin, not for playbooks.
    type: dict
  ended:
    description: A run that is known to be dead; set by the action plugin, not for playbooks.
    type: str
"""
