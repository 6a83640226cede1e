"""What may go wrong in a project. SHOP_MOOD is where it happens and what: settings:exit, ready:raise, urls:raise …"""

import logging
import os
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit


def act(place):
    where, _separator, what = os.environ.get("SHOP_MOOD", "").partition(":")
    if where == place:
        {
            "raise": fail,
            "exit": leave,
            "die": die,
            "sleep": sleep,
            "children": children,
            "daemon": daemon,
            "import": import_missing,
            "chdir": lambda: os.chdir("/"),
            "close": close_output,
            "fork": os.fork,
            "log": log,
            "thread": start_thread,
            "whoami": whoami,
            "tell": tell,
            "tell_and_die": tell_and_die,
        }[what]()


def fail():
    raise RuntimeError("the shop is in a mood")


def leave():
    print("shop: closed today", file=sys.stderr)
    sys.exit(3)


def die():
    print("shop: this is the end", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(7)


def sleep():
    time.sleep(120)


def children():
    """A child in the same process group that would outlive its parent, then one that waits for it."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    with open(os.environ["SHOP_PID_FILE"], "w", encoding="utf-8") as handle:
        handle.write(str(child.pid))
    child.wait()


def daemon():
    """A child in a session of its own that keeps the output open."""
    subprocess.Popen(["sleep", "90"], start_new_session=True)


def close_output():
    """As a project does that makes itself a daemon."""
    sys.stdout.close()
    os.close(1)
    os.close(2)


def log():
    logging.basicConfig(level="DEBUG")
    logging.getLogger("shop").error("{" + "the shop is talkative " * 10000)


def start_thread():
    """A thread that no interpreter would wait for the end of."""
    threading.Thread(target=time.sleep, args=(120,)).start()


def import_missing():
    import shop_package_that_nobody_installed  # noqa: F401


def whoami():
    raise RuntimeError(f"uid {os.getuid()}, gid {os.getgid()}, groups {os.getgroups()}, home {os.environ.get('HOME')}")


def secrets():
    names = os.environ["SHOP_TELL"].split(",")
    return [os.environ[name] for name in names]


def tell():
    """Print the values as they are and in parts, as a logger would; raise with them as Python writes them."""
    for value in secrets():
        print("stdout:", value)
        print("stderr:", value, file=sys.stderr)
        for line in value.splitlines():
            print("line:", line.strip())
        if "://" in value:
            print("password:", urlsplit(value).password)
    raise KeyError(*secrets(), " and ".join(value.strip() for value in secrets()))


def tell_and_die():
    """Print the values and end the interpreter without an exception."""
    for value in secrets():
        print(value, file=sys.stderr)
    sys.stderr.flush()
    os._exit(7)
