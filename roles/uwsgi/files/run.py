# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run a program in exactly the environment of a release. Installed by the role uwsgi of emperor.web.

    python3 -IS run.py RELEASE PROGRAM [ARGUMENT ...]   RELEASE is a release's folder, or a link to one
    python3 -IS run.py --ini VASSAL.ini                 the Emperor's way to start a vassal

uWSGI itself expands % and $( in the values of its ini files, and cannot carry a newline; a file of its own can.
"""

from __future__ import annotations

import json
import os
import pwd
import resource
import sys


def main(arguments: list[str]) -> None:
    """Become the app's user, take on the release's environment and turn into the program."""
    if "--ini" in arguments:
        release = release_of_vassal(arguments[arguments.index("--ini") + 1])
        program = ["/usr/bin/uwsgi", *arguments]
        # The Emperor tells its vassals by these how to speak to it.
        inherited = {name: value for name, value in os.environ.items() if name.startswith("UWSGI_")}
        allow_open_files()
    elif len(arguments) >= 2:
        release, program, inherited = os.path.realpath(arguments[0]), arguments[1:], passed_on()
    else:
        sys.exit(f"usage: {sys.argv[0]} RELEASE PROGRAM [ARGUMENT ...]")
    try:
        manifest = read_json(os.path.join(release, "release.json"))
        if "--ini" not in arguments:
            become(manifest["app"])
            tell_systemd(f"release {os.path.basename(release)}")
            os.chdir(os.path.join(release, "src", manifest["project"]))
        environment = read_json(os.path.join(release, "env"))
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} does not exist; has the app been deployed?")
    except PermissionError as error:
        sys.exit(f"{error.filename or error}: not permitted; run this as root (sudo) or as the app's user")
    os.environ.clear()
    os.environ.update(environment | inherited)
    try:
        os.execvp(program[0], program)
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


def release_of_vassal(path: str) -> str:
    """The folder of the release that a vassal's file names."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            name, _equals, value = line.partition("=")
            if name.strip() == "set-ph" and value.strip().startswith("release="):
                return value.strip().removeprefix("release=")
    sys.exit(f"{path} names no release")


def allow_open_files() -> None:
    """As many as the Emperor's unit allows; the Emperor itself has a lower limit."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def passed_on() -> dict[str, str]:
    """What a program needs to know of its terminal, and by what a hook is found whose module was killed."""
    return {name: os.environ[name] for name in ("TERM", "COLUMNS", "LINES", "EMPEROR_STEP") if name in os.environ}


def tell_systemd(status: str) -> None:
    """Have C(systemctl status) show what a unit runs; by it a release that is in use is known, too."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    import socket  # only here: the vassals start without it

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        try:
            systemd.sendto(f"STATUS={status}".encode(), address.replace("@", "\0", 1))
        except OSError as error:
            print(f"systemd cannot be told the {status}: {error}", file=sys.stderr)


def become(user: str) -> None:
    """Take on the rights of the app's user; root can, the user itself has them."""
    entry = pwd.getpwnam(user)
    os.umask(0o027)
    if os.geteuid() == entry.pw_uid:
        return
    if os.geteuid() != 0:
        raise PermissionError(f"becoming {user}")
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def read_json(path: str) -> dict[str, str]:
    """A JSON file."""
    with open(path, encoding="utf-8") as handle:
        return json.load(handle)


if __name__ == "__main__":
    main(sys.argv[1:])
