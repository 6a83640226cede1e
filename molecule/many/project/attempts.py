"""Ways for one app to reach another one. Each either does what it says, or fails.

    attempts.py < PAIRS    as root: each pair, who tries (a user) and two apps, by a process of that user

An app is its name, folder, release, and the id of one of its processes.
"""

import glob
import json
import os
import pwd
import signal
import socket
import struct
import subprocess
import sys
from contextlib import contextmanager


def outcomes(mine, victim):
    """For each attempt C(yes), or why it failed."""
    found = {}
    for name, attempt in ATTEMPTS.items():
        try:
            result = attempt(mine, victim)
        except OSError as error:
            found[name] = f"no: {error}"
        else:
            found[name] = "yes" if result else "no: nothing came of it"
    return found


def read(path):
    with open(path, "rb") as handle:
        return handle.read(64) or b"empty"


def write(path):
    """Make a file, and leave nothing behind where that was possible."""
    with open(path, "x"):
        os.unlink(path)
    return True


def append(path):
    with open(path, "ab"):
        return True


@contextmanager
def connection(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.settimeout(10)
        made.connect(path)
        yield made


def page(path):
    """Speak uwsgi to an app, as only the web server may."""
    body = b""
    for pair in {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": "x"}.items():
        for part in pair:
            body += struct.pack("<H", len(part)) + part.encode()
    with connection(path) as made:
        made.sendall(struct.pack("<BHB", 0, len(body), 0) + body)
        return made.recv(64).startswith(b"HTTP/1.1")


def stats(path):
    with connection(path) as made:
        return made.recv(64).startswith(b"{")


def become_root():
    os.setresuid(0, 0, 0)
    return os.geteuid() == 0


def journal():
    return any(read(path) for path in glob.glob("/var/log/journal/*/system.journal")[:1] or ["/var/log/journal/none"])


def systemctl(unit):
    command = ["systemctl", "--no-ask-password", "--signal=SIGCONT", "kill", unit]
    return not subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30).returncode


def run(app, name=""):
    return f"/run/emperor/{app['name']}/{name}"


def release(app, name=""):
    return f"{app['root']}/releases/{app['release']}/{name}"


ATTEMPTS = {
    "see that it is there": lambda mine, victim: os.listdir(victim["root"]),
    "list its sockets": lambda mine, victim: os.listdir(run(victim)),
    "read the environment of its release": lambda mine, victim: read(release(victim, "env")),
    "read its code": lambda mine, victim: read(release(victim, "src/manage.py")),
    "change its code": lambda mine, victim: append(release(victim, "src/manage.py")),
    "read its secret key": lambda mine, victim: read(f"{victim['root']}/secret_key"),
    "read an upload": lambda mine, victim: read(f"{victim['root']}/shared/media/upload"),
    "read its database": lambda mine, victim: read(f"{victim['root']}/shared/db.sqlite3"),
    "change its database": lambda mine, victim: append(f"{victim['root']}/shared/db.sqlite3"),
    "have a page of it": lambda mine, victim: page(run(victim, f"{victim['release']}.sock")),
    "read its statistics": lambda mine, victim: stats(run(victim, f"{victim['release']}.stats")),
    "read its Emperor's statistics": lambda mine, victim: stats(run(victim, "emperor.stats")),
    "see its process": lambda mine, victim: read(f"/proc/{victim['pid']}/status"),
    "read the environment of its process": lambda mine, victim: read(f"/proc/{victim['pid']}/environ"),
    "signal its process": lambda mine, victim: os.kill(victim["pid"], signal.SIGCONT) is None,
    "signal its unit": lambda mine, victim: systemctl(f"uwsgi-emperor@{victim['name']}.service"),
    "write a vassal for it": lambda mine, victim: write(f"/etc/uwsgi/emperor/{victim['name']}/evil.tmp"),
    "write a vassal of its own": lambda mine, victim: write(f"/etc/uwsgi/emperor/{mine['name']}/evil.tmp"),
    "change its own code": lambda mine, victim: append(release(mine, "src/manage.py")),
    "change its own unit": lambda mine, victim: write("/etc/systemd/system/evil.conf"),
    "read the journal": lambda mine, victim: journal(),
    "become root": lambda mine, victim: become_root(),
}


def as_user(name, mine, victim):
    """The outcomes for another user, whose process ends with them."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        entry = pwd.getpwnam(name)
        os.chdir("/")
        os.initgroups(name, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
        with os.fdopen(writer, "w") as out:
            json.dump(outcomes(mine, victim), out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as handle:
        text = handle.read()
    os.waitpid(child, 0)
    return json.loads(text)


if __name__ == "__main__":
    json.dump([as_user(*pair) for pair in json.load(sys.stdin)], sys.stdout)
