# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What the three Django modules share: their options, and how they reach the app's interpreter."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_text
from ansible_collections.emperor.web.plugins.module_utils._environment import (
    EnvironmentFileError,
    read_file,
    secret_values,
    take_environment,
)
from ansible_collections.emperor.web.plugins.module_utils._process import Result, UserError, run

if TYPE_CHECKING:  # Ansible sends what is imported anywhere; of this file only the text is needed, see source_of
    from ansible_collections.emperor.web.plugins.module_utils import _django_runner  # noqa: F401

DJANGO_ARGUMENTS: dict[str, Any] = {
    "project": {"type": "path", "required": True},
    "settings": {"type": "str"},
    "virtualenv": {"type": "path"},
    "python": {"type": "path"},
    "environment": {"type": "dict", "no_log": True},
    "environment_file": {"type": "path"},
    "user": {"type": "str"},
    "timeout": {"type": "int", "default": 600},
}

# What C(python -u -) does too, but with a system call for each character.
TAKE_PROGRAM = "import sys; exec(sys.stdin.buffer.read())"

FAILURES = {
    "check": "the project does not start",
    "migrate": "the migration failed",
    "collectstatic": "collectstatic failed",
}


class DjangoModule:
    """An AnsibleModule that can ask the project's own Django."""

    def __init__(
        self, arguments: dict[str, Any], *, create: Callable[..., AnsibleModule] = AnsibleModule, **kwargs: Any
    ) -> None:
        self.module = create(
            argument_spec=DJANGO_ARGUMENTS | arguments,
            mutually_exclusive=[("virtualenv", "python")],
            required_one_of=[("virtualenv", "python")],
            supports_check_mode=True,
            **kwargs,
        )
        self.params = self.module.params
        self.check_mode = self.module.check_mode
        environment = take_environment(self.module)
        if self.params["environment_file"] and not self.check_mode:
            self._keep_the_release()
        if self.params["environment_file"] and not self._not_built_yet():
            try:
                environment = read_file(self.params["environment_file"]) | environment
            except EnvironmentFileError as error:
                self.module.fail_json(msg=str(error))
        self.module.no_log_values |= secret_values(environment)
        self.environment = environment
        self.action, self.began = "", time.monotonic()

    def _keep_the_release(self) -> None:
        """Fail where the file is of a release that another run works on by now.

        Only a file tells that there may be one, so without it nothing of releases is loaded.
        """
        from ansible_collections.emperor.web.plugins.module_utils._lock import lost

        reason = lost(self.params["environment_file"])
        if reason:
            self.module.fail_json(msg=reason)

    @property
    def python(self) -> str:
        """The interpreter that has the project's packages."""
        return self.params["python"] or os.path.join(self.params["virtualenv"], "bin", "python")

    def _not_built_yet(self) -> bool:
        return self.check_mode and not os.path.exists(self.python)

    def skip_unbuilt(self, **result: Any) -> None:
        """In check mode on a host where an earlier task would first create the interpreter: say so and stop."""
        if self._not_built_yet():
            reason = f"{self.python} does not exist yet, so check mode cannot look into the project"
            self.module.exit_json(msg=reason, predicted=False, **result)

    def ask(self, action: str, parts: tuple[str, ...], **job: Any) -> dict[str, Any]:
        """Have the file of an action run in the app's interpreter; fails the module with what the project raised.

        The parts are the names of that file and of those that it imports.
        """
        self.action = action
        if not os.access(self.python, os.X_OK):
            self.fail(msg=f"{self.python} is no interpreter; give virtualenv or python of the project")
        if not os.path.isdir(self.params["project"]):
            self.fail(msg=f"project {self.params['project']} is no folder; give the one that has manage.py")
        with tempfile.TemporaryFile() as reply:
            job |= {
                "action": action,
                "project": self.params["project"],
                "settings": self.params["settings"],
                "check_mode": self.check_mode,
                "reply_fd": reply.fileno(),
            }
            try:
                outcome = run(
                    [self.python, "-u", "-c", TAKE_PROGRAM],
                    environment=self._process_environment(),
                    cwd=self.params["project"],
                    user=self.params["user"],
                    timeout=self.params["timeout"],
                    stdin=program(job, parts),
                    pass_fds=(reply.fileno(),),
                    # Static files are for everybody; a database that is made here is not.
                    umask=0o022 if action == "collectstatic" else 0o027,
                )
            except UserError as error:
                self.fail(msg=str(error))
            except OSError as error:
                who = f" by user {self.params['user']}" if self.params["user"] else ""
                self.fail(
                    msg=f"{self.python} cannot be run{who}: {error.strerror}; "
                    f"it has to be an interpreter in folders that the user may enter"
                )
            reply.seek(0)
            answer = reply.read()
        if outcome.timed_out:
            self.fail(
                msg=f"Django did not finish within {self.params['timeout']} s and was ended; see timeout",
                **outcome.report(),
            )
        try:
            parsed = json.loads(answer)
        except ValueError:
            self.fail(
                msg=f"the interpreter ended with status {outcome.rc} before it could answer: {outcome.last_lines()}",
                **outcome.report(),
            )
        named = {f"SECRET_{number}": secret for number, secret in enumerate(parsed["secrets"])}
        self.module.no_log_values |= secret_values(named)
        if "error" in parsed:
            self._fail(action, parsed["error"], parsed["partial"], outcome)
        return parsed["result"]

    def _process_environment(self) -> dict[str, str]:
        environment = {"PYTHONDONTWRITEBYTECODE": "1"}
        if self.params["virtualenv"]:
            environment["VIRTUAL_ENV"] = self.params["virtualenv"]
            environment["PATH"] = os.path.join(self.params["virtualenv"], "bin") + ":/usr/local/bin:/usr/bin:/bin"
        return environment | self.environment

    def fail(self, msg: str, **result: Any) -> None:
        """Fail the module, and the release that is being deployed with it."""
        if self.params["environment_file"]:
            from ansible_collections.emperor.web.plugins.module_utils._outcome import failed_before_switch
            from ansible_collections.emperor.web.plugins.module_utils._release import migration_names

            noted: dict[str, Any] = {"seconds": {self.action: round(time.monotonic() - self.began, 3)}}
            if "applied" in result:
                noted["migrations"] = migration_names(result["applied"])
            failed_before_switch(self.module, self.params["environment_file"], step=self.action, reason=msg, **noted)
        self.module.fail_json(msg=msg, **result)

    def _fail(self, action: str, error: dict[str, Any], partial: dict[str, Any], outcome: Result) -> None:
        self.fail(
            msg=explain(action, error),
            traceback=error["traceback"],
            changed=partial.pop("changed", any(partial.values())),
            **partial,
            **outcome.report(),
        )


def program(job: dict[str, Any], parts: tuple[str, ...]) -> str:
    """The text that the interpreter gets: the runner's source and one call."""
    sources = {part: source_of(part) for part in parts}
    return f"{source_of('_django_runner')}\nmain(json.loads({json.dumps(job)!r}), {sources!r})\n"


def source_of(part: str) -> str:
    """The text of a file beside this one, which is not imported: that would only cost the time to compile it."""
    # On a target the module's utilities are inside a zip file, so there is no path to open.
    loader: Any = __spec__.loader
    if hasattr(loader, "get_data"):
        return loader.get_data(os.path.join(os.path.dirname(__file__), f"{part}.py")).decode()
    # Mitogen's knows the text of what has been imported, and of nothing else.
    spec: Any = importlib.import_module(f"{__name__.rpartition('.')[0]}.{part}").__spec__
    return to_text(spec.loader.get_source(spec.name))


def explain(action: str, error: dict[str, Any]) -> str:
    """One sentence on what went wrong and what to do about it."""
    text = f"{error['type']}: {error['message']}".strip()
    text += f" ({error['cause']})" if error["cause"] else ""
    missing, settings = error["missing_module"], error["settings"]
    if error["explained"]:
        return error["message"]
    if missing and (settings == missing or settings.startswith(missing + ".")):
        return (
            f"the settings module {settings} cannot be imported ({text}); check the option settings, "
            f"or DJANGO_SETTINGS_MODULE in manage.py and the environment"
        )
    if missing == "django":
        return f"Django is not installed in the virtual environment ({text}); add it to the project's requirements"
    if error["app"]:
        return (
            f"INSTALLED_APPS has {error['app']}, which cannot be imported ({text}); add its package to the project's "
            f"requirements, or mend the name"
        )
    if missing:
        return f"{text}; a package is missing from the project's requirements, or the module's name is wrong"
    if error["denied"] and action == "check":
        text += (
            ". The user that runs the project has no right to that. The code of a release is read-only; let the "
            "settings name a file or folder that belongs to the user"
        )
    return f"{FAILURES[action]}: {text}"
