#!/usr/bin/env python3
"""Kill runs of nginx_config at random moments; run on the host. Prints what was found, as JSON.

    kill_runs.py kill COUNT PAYLOAD PAYLOAD    kill a run, look at the host, let the next run complete, change sides,
                                               until Nginx was started after so many kills
    kill_runs.py race COUNT PAYLOAD PAYLOAD    start both at the same time

A payload is the module with its arguments, as Ansible leaves it on a host. The first one makes all pages say A, the
other one B. Of a mix of their files Nginx takes none.
"""

from __future__ import annotations

import glob
import http.client
import json
import os
import random
import subprocess
import sys
import time

PAIRS = 10
WORK = "/etc/.nginx.emperor"
JOURNAL = f"{WORK}/journal.json"


def start(payload: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, payload], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def complete(payload: str) -> dict:
    """A run to its end; what the module says."""
    process = start(payload)
    said = process.communicate()[0]
    return json.loads(said) if not process.returncode else {"failed": True, "said": said}


def valid() -> bool:
    return subprocess.run(["nginx", "-t", "-q"], capture_output=True, check=False).returncode == 0


def restarts() -> bool:
    return subprocess.run(["systemctl", "restart", "nginx"], capture_output=True, check=False).returncode == 0


def pages() -> str:
    """What the sites say, A or B; both when they do not agree."""
    found = set()
    for number in range(PAIRS):
        connection = http.client.HTTPConnection("127.0.0.1", timeout=10)
        connection.request("GET", "/", headers={"Host": f"k{number}.example.com"})
        found.add(connection.getresponse().read().decode().strip())
    return " ".join(sorted(found))


def settled(wanted: str, seconds: float = 5) -> str:
    """What the sites say once the workers from before the reload take no more connections."""
    deadline = time.monotonic() + seconds
    while (found := pages()) != wanted and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def leftovers() -> list[str]:
    names = [os.path.join(folder, name) for folder, _folders, files in os.walk("/etc/nginx") for name in files]
    return [name for name in names if ".emperor-" in name] + glob.glob(WORK) + glob.glob("/tmp/emperor-config-*")


def after_the_beginning(process: subprocess.Popen, seconds: float) -> None:
    """Wait until a run has begun to change files, and then some more."""
    while not os.path.exists(JOURNAL) and process.poll() is None:
        time.sleep(0.0005)
    time.sleep(seconds)


def kill(count: int, payloads: list[str]) -> dict:
    result = {"kills": 0, "ended": 0, "journals": 0, "swapped": 0, "invalid": 0, "starts": 0, "problems": []}
    seconds = []
    for payload in (*payloads, *payloads):
        began = time.monotonic()
        complete(payload)
        seconds.append(time.monotonic() - began)
    whole = min(seconds[1:])  # the first of them may have had nothing to do
    for number in range(5 * count):
        payload, wanted, other = payloads[number % 2], "AB"[number % 2], "BA"[number % 2]
        problems = []
        process = start(payload)
        if number % 5 < 3:
            time.sleep(whole * (number % count + random.random()) / count)
        else:
            after_the_beginning(process, random.uniform(0, whole / 3))
        process.kill()
        killed = process.wait() == -9
        result["kills" if killed else "ended"] += 1
        process.stdout.close()
        result["journals"] += os.path.exists(JOURNAL)
        if not valid():
            result["invalid"] += 1
        elif number % 4 < 3:  # without a restart it is the next run that has to load what is there
            result["starts"] += killed
            if not restarts():
                problems.append("Nginx does not start")
            found = pages()
            result["swapped"] += found == wanted
            if found not in (wanted, other):
                problems.append(f"the pages say {found}")
        said = complete(payload)
        if said.get("failed"):
            problems.append(f"the next run failed: {said}")
        elif (found := settled(wanted)) != wanted:
            problems.append(f"after the next run the pages say {found}, not {wanted}")
        problems += [f"{name} was left" for name in leftovers()]
        if not valid():
            problems.append("nginx -t fails after the next run")
        result["problems"] += [f"kill {number}: {problem}" for problem in problems]
        # Of a mix there is no start, and where it can be left each kill counts.
        if result["starts"] + result["invalid"] >= count:
            break
    again = complete(payload)
    if again.get("changed") is not False:
        result["problems"].append(f"a run with nothing to do: {again}")
    return result | {"seconds": round(whole, 2)}


def race(count: int, payloads: list[str]) -> dict:
    result = {"races": count, "won": [], "problems": []}
    for number in range(count):
        processes = [start(payload) for payload in payloads]
        said = [process.communicate()[0] for process in processes]
        result["problems"] += [text for process, text in zip(processes, said, strict=True) if process.returncode]
        found = settled("A", 1)
        result["won"].append(found)
        if found not in ("A", "B") or not valid() or leftovers():
            result["problems"].append(f"race {number}: the pages say {found}, left are {leftovers()}")
    return result


if __name__ == "__main__":
    what, count, *payloads = sys.argv[1:]
    print(json.dumps({"kill": kill, "race": race}[what](int(count), payloads), indent=2))
