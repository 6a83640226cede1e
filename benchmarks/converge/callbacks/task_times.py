"""A callback of Ansible that notes when each task began, and the processor time of both sides until then."""

from __future__ import annotations

import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: task_times
type: aggregate
short_description: Times of the tasks, for benchmarks/converge
description:
  - Writes a list to the file that C(EMPEROR_TIMES) names.
  - Reads the processor time of the host from the file that C(EMPEROR_TARGET_CPU) names, cpuacct.usage or cpu.stat.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "task_times"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.times: list[dict[str, object]] = []

    def note(self, name: str) -> None:
        path = os.environ.get("EMPEROR_TARGET_CPU")
        target = None
        if path:
            with open(path) as handle:
                words = handle.read().split()
            # cgroup v1 has nothing but nanoseconds, v2 begins with usage_usec and its number.
            target = int(words[0]) / 1e9 if len(words) == 1 else int(words[1]) / 1e6
        own = os.times()
        # Workers that have ended count, and so do the programs that they have started.
        controller = own.user + own.system + own.children_user + own.children_system
        self.times.append({"name": name, "at": time.time(), "controller": controller, "target": target})

    def v2_playbook_on_start(self, playbook) -> None:
        self.note("start of Ansible")

    def v2_playbook_on_task_start(self, task, is_conditional) -> None:
        self.note(task.get_name())

    def v2_playbook_on_handler_task_start(self, task) -> None:
        self.note(task.get_name())

    def v2_playbook_on_stats(self, stats) -> None:
        self.note("end")
        with open(os.environ["EMPEROR_TIMES"], "w") as handle:
            json.dump(self.times, handle)
