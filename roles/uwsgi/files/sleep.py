# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wake an app that sleeps, and let it sleep again. Installed by the role uwsgi of emperor.web.

    python3 -I sleep.py wake APP ROOT    start its Emperor, and return when the live release takes connections
    python3 -I sleep.py rest APP ROOT    stop its Emperor, unless something is at work that needs it

Its unit emperor-wake@APP.service runs this before and after the proxy that leads requests to the app.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time

RUN = "/run/emperor"
# uWSGI listens before it loads the app, so this is not the time that an app takes to start.
WAKE_SECONDS = 30.0
# As in _lock.py of the collection.
LEASE = 300.0
VARIABLE = "EMPEROR_DEPLOY"


def wake(app: str, root: str) -> None:
    """Start the Emperor; without a live release there is nothing to wait for."""
    systemctl("start", emperor(app))
    # The proxy counts the time without requests from the end of one, so there has to be one.
    with contextlib.suppress(OSError):
        connect(f"{RUN}/{app}.wake")
    live = os.path.join(root, "current", "live.sock")
    deadline = time.monotonic() + WAKE_SECONDS
    while os.path.lexists(live):
        try:
            return connect(live)
        except OSError as error:
            if time.monotonic() > deadline:
                print(f"{app} takes no connections after {WAKE_SECONDS:g} s ({error}); visitors get status 502")
                return None
        time.sleep(0.02)
    return None


def rest(app: str, root: str) -> None:
    """Stop the Emperor of an app that nobody has asked for a while."""
    if os.environ.get("SERVICE_RESULT", "success") != "success":
        return  # the proxy has failed, and systemd starts it again
    if systemctl("--quiet", "is-enabled", emperor(app)) == 0:
        return  # the app is one that is always awake by now
    # Without its socket it is being removed.
    held = os.path.exists(f"{RUN}/{app}.wake")
    if held and (os.path.exists(f"{RUN}/{app}.pause") or deploying(root)):
        print(f"{app} stays awake, as a deploy or a pause is at work")
        systemctl("start", "--no-block", f"emperor-wake@{app}.service")
        return
    systemctl("stop", emperor(app))


def deploying(root: str) -> bool:
    """Whether a run of Ansible holds the deploy lock; one that was killed does so for some minutes."""
    try:
        with open(os.path.join(root, "deploy.lock"), encoding="utf-8") as handle:
            holder = json.load(handle)
        token, seen = str(holder["token"]), float(holder["seen"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return abs(time.time() - seen) < LEASE or works(f"{VARIABLE}={token}".encode())


def works(variable: bytes) -> bool:
    """Whether a process has this in its environment."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as handle:
            if variable in handle.read().split(b"\0"):
                return True
    return False


def connect(address: str) -> None:
    """Connect, and ask nothing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        connection.connect(address)


def emperor(app: str) -> str:
    """The unit of an app's Emperor."""
    return f"uwsgi-emperor@{app}.service"


def systemctl(*arguments: str) -> int:
    """What systemctl ends with; what it says goes to the journal."""
    return subprocess.run(["/usr/bin/systemctl", *arguments], check=False).returncode


if __name__ == "__main__":
    {"wake": wake, "rest": rest}[sys.argv[1]](*sys.argv[2:])
