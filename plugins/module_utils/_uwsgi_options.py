# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Options of uWSGI that a user may give: which ones, in what range, and what goes together.

Controller and host use the same rules. What only a host can tell, see C(_uwsgi_host.py).
"""

from __future__ import annotations

import re
from typing import Any

DEFAULTS: dict[str, Any] = {
    # For releases that have no number of their own; C(_uwsgi_host.py) chooses one for each new release.
    "processes": 4,
    "threads": 1,
    "enable-threads": True,
    "py-call-uwsgi-fork-hooks": True,
    "listen": 1024,
    "buffer-size": 32768,
    # A body that a view leaves unread resets the connection, and Nginx may see that before the answer: 502.
    "post-buffering": 65536,
    "harakiri": 60,
    "worker-reload-mercy": 25,
    "max-requests": 5000,
    "max-worker-lifetime": 86400,
    "max-worker-lifetime-delta": 600,
    "reload-on-rss": 512,
}

# Numbers: the least, the most, and what is counted.
RANGES: dict[str, tuple[int, int, str]] = {
    "processes": (1, 1000, "worker processes"),
    "threads": (1, 1000, "threads of each worker"),
    "thread-stack-size": (64, 65536, "KB"),
    "listen": (1, 65535, "connections that may wait"),
    # uWSGI keeps it in 16 bits.
    "buffer-size": (4096, 65535, "bytes of a request's headers"),
    "harakiri": (1, 86400, "seconds"),
    "harakiri-graceful-timeout": (1, 86400, "seconds"),
    "harakiri-queue-threshold": (1, 65535, "connections that wait"),
    "spooler-harakiri": (1, 86400, "seconds"),
    "mule-harakiri": (1, 86400, "seconds"),
    # Its Emperor kills a vassal that takes 30 s to stop.
    "worker-reload-mercy": (1, 29, "seconds"),
    "reload-mercy": (1, 29, "seconds"),
    "mule-reload-mercy": (1, 29, "seconds"),
    "max-requests": (1, 10**9, "requests"),
    "max-requests-delta": (1, 10**6, "requests"),
    "min-worker-lifetime": (1, 86400, "seconds"),
    "max-worker-lifetime": (60, 31536000, "seconds"),
    "max-worker-lifetime-delta": (1, 86400, "seconds"),
    "reload-on-rss": (32, 1 << 20, "MB of a worker"),
    "evil-reload-on-rss": (32, 1 << 20, "MB of a worker"),
    "reload-on-as": (128, 1 << 20, "MB of a worker's address space"),
    "evil-reload-on-as": (128, 1 << 20, "MB of a worker's address space"),
    "limit-as": (128, 1 << 20, "MB of a process's address space"),
    "cheaper": (1, 999, "worker processes that always run"),
    "cheaper-initial": (1, 1000, "worker processes"),
    "cheaper-step": (1, 1000, "worker processes"),
    "cheaper-overload": (1, 3600, "seconds"),
    "cheaper-busyness-min": (1, 100, "percent"),
    "cheaper-busyness-max": (1, 100, "percent"),
    "cheaper-busyness-multiplier": (1, 10000, "cycles"),
    "cheaper-busyness-penalty": (1, 10000, "cycles"),
    "cheaper-busyness-backlog-alert": (1, 65535, "connections that wait"),
    "cheaper-busyness-backlog-nonzero": (1, 3600, "seconds"),
    "cheaper-busyness-backlog-step": (1, 1000, "worker processes"),
    "cheaper-rss-limit-soft": (1, 1 << 50, "bytes"),
    "cheaper-rss-limit-hard": (1, 1 << 50, "bytes"),
    "idle": (1, 31536000, "seconds"),
    "offload-threads": (1, 64, "threads of each worker"),
    "post-buffering": (1, 1 << 40, "bytes"),
    "post-buffering-bufsize": (1024, 1 << 30, "bytes"),
    "limit-post": (1, 1 << 50, "bytes"),
    "socket-timeout": (1, 3600, "seconds"),
    "chunked-input-timeout": (1, 3600, "seconds"),
    "log-slow": (1, 3600000, "milliseconds"),
    "mules": (1, 100, "processes"),
    "spooler-processes": (1, 100, "processes"),
}

FLAGS = frozenset(
    """
    enable-threads thunder-lock lazy-apps no-threads-wait close-on-exec close-on-exec2 py-call-uwsgi-fork-hooks
    py-call-osafterfork memory-report harakiri-verbose disable-logging log-4xx log-5xx auto-procname stats-minified
    ignore-sigpipe ignore-write-errors disable-write-exception wsgi-strict wsgi-disable-file-wrapper
    """.split()  # noqa: SIM905
)

# Other names that uWSGI has for the same. Of two names in one file the last one would win.
ALIASES = {
    "workers": "processes",
    "offload-thread": "offload-threads",
    "threads-stacksize": "thread-stack-size",
    "thread-stacksize": "thread-stack-size",
    "threads-stack-size": "thread-stack-size",
    "logformat": "log-format",
    "stats-min": "stats-minified",
}

# What makes a vassal a release: these belong to the collection.
OWNED = frozenset(
    """
    plugin plugins need-plugin need-plugins plugins-dir plugin-dir autoload dlopen strict master no-orphans need-app
    single-interpreter die-on-term vacuum chdir chdir2 force-cwd virtualenv home venv pyhome module wsgi wsgi-file file
    mount worker-mount callable eval test pecan paste ini-paste ini-paste-logged web3 pump wsgi-lite pyrun python py
    socket uwsgi-socket chmod-socket chmod chown-socket stats stats-server stats-http set set-ph set-placeholder uid gid
    env add-header py-executable py-sys-executable python-worker-override procname-prefix-spaced
    """.split()  # noqa: SIM905
)

# What would break the way a release goes live, or what keeps apps apart, with the reason.
REFUSED: list[tuple[str, str]] = [
    (
        r"(ini|xml|xmlconfig|yaml|yml|json|js|config|fallback-config|inherit|include|inject-(before|after)|resolve)",
        "would load options from elsewhere, unchecked; give them here",
    ),
    (
        r"(for|for-.*|end-?for|if-.*|if(env|exists|plugin|dir)|end-?if|(end-)?(black|white)list|declare-option2?|get)",
        "steers how the file is read; decide it in the inventory",
    ),
    (
        r"((suwsgi|ssl|http|http11|https|fastcgi|fastcgi-nph|scgi|scgi-nph|raw|puwsgi|shared|undeferred-shared|map)-socket"
        r"|socket-protocol|protocol|abstract-socket|freebind|reuse-port|udp|multicast.*|snmp.*|cache-udp-.*"
        r"|(http|https|http2|fastrouter|rawrouter|sslrouter|tuntap|forkpty)(-.*)?|log-socket|sni(-.*)?)",
        "opens a socket of its own, and two releases that run side by side cannot share it; Nginx listens for the app",
    ),
    (
        r"(daemonize2?|log-?to2?|logger|logger-req|req-logger|log-syslog|pidfile2?|safe-pidfile2?|master-fifo"
        r"|stop|reload|pause|suspend|resume|no-server|command-mode|refork.*|re-fork.*|notify-socket|binary-path)",
        "takes the vassal away from its Emperor, or its log from the journal",
    ),
    (
        r"(touch-(workers-|mules-|spoolers-|chain-)?reload|fs-(brutal-)?reload|reload-on-fd|brutal-reload-on-fd"
        r"|(py|python)-auto-?reload.*|reload-os-env|exit-on-reload|if-reload|lazy)",
        "would load new code in place, before it has proved itself; a new version is a new release",
    ),
    (r"(die-on-idle|heartbeat)", "has the Emperor stop or kill an app that is well"),
    (
        r"(emperor|early-emperor|vassals?|imperial|legion|zerg|subscri|unsubscribe|start-unsubscribed)(-.*|be.*|ption.*|pool)?|st",
        "makes the vassal part of another group of servers; each app has an Emperor of its own",
    ),
    (
        r"(immediate-[ug]id|add-gid|no-initgroups|cap|unshare2?|setns.*|chroot|pivot[-_]root|jail.*|namespace.*|ns(-net)?"
        r"|cgroup.*|umask|master-as-root|drop-after-.*|privileged-binary.*"
        r"|unprivileged-binary.*|(u?mount)-(asap|pre-jail)|limit-nproc|max-fd|prio|cpu-affinity)",
        "is for the app's unit to decide, and the app has no right to; see limits of the app",
    ),
    (
        r"(exec|call|hook)-.*",
        "runs whenever a vassal starts or stops, also one of a release that never goes live; use hooks of the app",
    ),
    (
        r"((unique-)?(legion-)?cron2?(-legion)?|unique-cron-legion|(legion-)?(smart-)?attach-(control-)?daemon2?"
        r"|worker-exec2?|touch-exec)",
        "starts programs with each vassal, and two of them run side by side during a release, so each would run twice",
    ),
    (r"(envdir|early-envdir|unenv)", "changes the environment of the release; give the app environment"),
    (
        r"(help|usage|version|show-config|print.*|iprint|exit|cflags|dot-h|config-py|build-plugin|.*-list|extract|loop"
        r"|python-version|dump-options|connect-and-read|pyshell.*)",
        "is for the command line",
    ),
]

_OPTION = re.compile(r"[a-z][a-z0-9_-]+")


class UwsgiError(Exception):
    """A setting that cannot be used, or an answer that is none."""


def check_options(options: dict[str, Any]) -> None:
    """Refuse what must not get into a vassal's file, and what uWSGI could not start with."""
    for name, value in options.items():
        _check_name(name)
        _check_value(name, value)
    names: dict[str, str] = {}
    for name in options:
        other = names.setdefault(ALIASES.get(name, name), name)
        if other != name:
            raise UwsgiError(f"uwsgi: {other} and {name} are the same option; give one of them")
    _check_together(settings({"processes": False} | named(options)))


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not _OPTION.fullmatch(name) or ("_" in name and name != "start_response-nodelay"):
        raise UwsgiError(
            f"uwsgi: {name!r} is no option name of uWSGI; write it as its documentation does, as max-requests"
        )
    if name in OWNED:
        raise UwsgiError(f"uwsgi: {name} is set by the release itself and cannot be given")
    for pattern, reason in REFUSED:
        if re.fullmatch(pattern, name):
            raise UwsgiError(f"uwsgi: {name} cannot be given: it {reason}")


def _check_value(name: str, value: Any) -> None:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, (dict, list)) or item is None or "\n" in str(item):
            raise UwsgiError(
                f"uwsgi: the value of {name} has to be a number, a boolean, one line of text, or a list of these"
            )
    name = ALIASES.get(name, name)
    if name in FLAGS and not isinstance(value, bool):
        raise UwsgiError(f"uwsgi: {name} is {value!r}; it is true or false")
    if name not in RANGES or value is False:
        return
    least, most, what = RANGES[name]
    if name in ("processes", "threads") and value == "%k":  # uWSGI's variable for the number of CPUs
        return
    if isinstance(value, bool) or not re.fullmatch(r"\d+", str(value)) or not least <= int(value) <= most:
        off = ", or false to go without" if name in DEFAULTS and name not in ("processes", "threads", "listen") else ""
        raise UwsgiError(f"uwsgi: {name} is {value!r}; give a number from {least} to {most} ({what}){off}")


def _check_together(given: dict[str, Any]) -> None:
    """Of options that are each well, refuse those with which uWSGI would not start, or not do what they say."""

    def value(name: str) -> int:
        return int(given[name]) if re.fullmatch(r"\d+", str(given.get(name, ""))) else 0

    def refuse(when: Any, text: str) -> None:
        if when:
            raise UwsgiError(f"uwsgi: {text}")

    processes, cheaper = value("processes"), value("cheaper")
    refuse(
        processes and cheaper >= processes,
        f"cheaper is {cheaper} and processes {processes}; cheaper has to be less, from 1 to {processes - 1}",
    )
    refuse(
        processes and value("cheaper-initial") > processes,
        f"cheaper-initial is {value('cheaper-initial')}; it has to be from cheaper ({cheaper}) to processes "
        f"({processes})",
    )
    for name in sorted(given):
        refuse(not cheaper and name.startswith("cheaper"), f"{name} does nothing without cheaper; give that too")
        refuse(
            name.startswith("cheaper-busyness") and given.get("cheaper-algo") != "busyness",
            f"{name} does nothing without cheaper-algo: busyness; give that too",
        )
    refuse(
        value("cheaper-busyness-min") >= (value("cheaper-busyness-max") or 101),
        f"cheaper-busyness-min is {value('cheaper-busyness-min')}; it has to be less than cheaper-busyness-max "
        f"({value('cheaper-busyness-max')})",
    )
    soft, hard = value("cheaper-rss-limit-soft"), value("cheaper-rss-limit-hard")
    refuse(soft and not given.get("memory-report"), "cheaper-rss-limit-soft needs memory-report: true")
    refuse(hard and not 0 < soft < hard, "cheaper-rss-limit-hard has to be more than cheaper-rss-limit-soft; give both")
    refuse(
        value("threads") > 1 and not given.get("enable-threads"),
        f"threads is {given.get('threads')}, but enable-threads is false; leave it true",
    )
    refuse(
        "max-requests-delta" in given and not value("max-requests"),
        "max-requests-delta does nothing without max-requests; give that too",
    )
    least, most = value("min-worker-lifetime"), value("max-worker-lifetime")
    refuse(
        most and least > most, f"min-worker-lifetime is {least}; it has to be from 1 to max-worker-lifetime ({most})"
    )


def named(options: dict[str, Any]) -> dict[str, Any]:
    """The options under the names that this collection uses."""
    return {ALIASES.get(name, name): value for name, value in options.items()}


def settings(options: dict[str, Any]) -> dict[str, Any]:
    """The defaults with a user's options; C(false) for a default takes it out."""
    given = named(options)
    merged = DEFAULTS | given
    if merged["max-worker-lifetime"] is False:
        merged["max-worker-lifetime-delta"] = False
    # Threads of several processes that wait for the same socket would all wake up for each request.
    if str(merged["threads"]) != "1" and str(merged["processes"]) != "1":
        merged.setdefault("thunder-lock", True)
    return {name: value for name, value in merged.items() if value is not False}


def plugins(options: dict[str, Any]) -> str:
    """The plugins of uWSGI that a vassal with these options loads, all of them of packages that the host has."""
    return "python3,cheaper_busyness" if options.get("cheaper-algo") == "busyness" else "python3"


def number(options: dict[str, Any], name: str, unknown: int) -> int:
    """A setting that is a number; uWSGI's own variables, as V(%k) for the number of CPUs, are unknown here."""
    text = str(settings(options).get(name, ""))
    return int(text) if re.fullmatch(r"\d+", text) else unknown
