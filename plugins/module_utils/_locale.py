# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Locales of a host: which there are, which there could be, and the files that choose one."""

from __future__ import annotations

import os
import re

from ansible_collections.emperor.web.plugins.module_utils._files import read_text
from ansible_collections.emperor.web.plugins.module_utils._process import run

# It comes with the C library; the others have to be generated.
BUILT_IN = "C.UTF-8"
SUPPORTED = "/usr/share/i18n/SUPPORTED"
SSHD = "/etc/ssh/sshd_config.d/10-emperor-locale.conf"
SSHD_UNIT = "/usr/lib/systemd/system/ssh.service"
# Debian 13 and later have a link to /etc/locale.conf here.
DEFAULT = os.path.realpath("/etc/default/locale")
# Files that are written as a whole; of others a few lines are.
OWN = (DEFAULT, SSHD)

_NAME = re.compile(r"(C|[a-z]{2,3}_[A-Z]{2})\.UTF-8|[a-z]{2,3}_[A-Z]{2}@[a-z]+")
_HEAD = "# Written by emperor.web.system_locale; what is changed here is lost.\n"
# An empty value counts as none, so these leave LANG alone in charge.
_CATEGORIES = (
    *("LC_ALL", "LC_CTYPE", "LC_NUMERIC", "LC_TIME", "LC_COLLATE", "LC_MONETARY", "LC_MESSAGES", "LC_PAPER"),
    *("LC_NAME", "LC_ADDRESS", "LC_TELEPHONE", "LC_MEASUREMENT", "LC_IDENTIFICATION", "LANGUAGE"),
)


def problem_of(names: list[str], supported: str | None) -> str:
    """What is wrong with the wanted locales; empty where nothing is, or nobody can tell yet."""
    strange = [name for name in names if not _NAME.fullmatch(name)]
    if strange:
        return f"{', '.join(strange)} is no UTF-8 locale; write for example de_DE.UTF-8 or C.UTF-8"
    lines = None if supported is None else supported.splitlines()
    unknown = [name for name in names if name != BUILT_IN and lines is not None and f"{name} UTF-8" not in lines]
    return f"{', '.join(unknown)} is no locale of this system; {SUPPORTED} lists them all" if unknown else ""


def missing(names: list[str], present: str) -> list[str]:
    """The locales that are not among those that C(locale -a) lists, which writes utf8 for UTF-8."""
    return [name for name in names if name.replace(".UTF-8", ".utf8") not in present.split() and name != BUILT_IN]


def with_locales(text: str, names: list[str]) -> str:
    """The text of C(/etc/locale.gen) with these locales switched on, and all else as it was."""
    lines = text.splitlines()
    for name in names:
        wanted = f"{name} UTF-8"
        found = [number for number, line in enumerate(lines) if re.match(rf"#?\s*{re.escape(name)}\s", f"{line} ")]
        if wanted in lines:
            continue
        if found:
            lines[found[-1]] = wanted
        else:
            lines.append(wanted)
    return "\n".join([*lines, ""])


def without_locale(text: str) -> str:
    """The text of C(/etc/environment) without the variables by which old instructions set a locale."""
    chosen = re.compile(r"\s*(export\s+)?(LANG|LANGUAGE|LC_[A-Z]+)=")
    return "".join(line for line in text.splitlines(keepends=True) if not chosen.match(line))


def sshd_settings(default: str, ssh: str) -> str:
    """What sshd is told about the locales that clients send."""
    if ssh == "client":
        return f"{_HEAD}# Clients bring their own locale.\n"
    reason = (
        "# Clients send their LANG and LC_*, which sshd accepts by default. A locale that is not generated here makes\n"
        "# Perl warn and locale.setlocale() raise in every session, so the host's own is set over what they send.\n"
    )
    return f"{_HEAD}{reason}SetEnv LANG={default} {' '.join(f'{name}=' for name in _CATEGORIES)}\n"


def wanted_files(default: str, generate: list[str], ssh: str) -> dict[str, str]:
    """Path and content of each file, as they should be."""
    files = {DEFAULT: f"LANG={default}\n", SSHD: sshd_settings(default, ssh)}
    listed = read_text("/etc/locale.gen")
    if listed is not None and generate:
        files["/etc/locale.gen"] = with_locales(listed, generate)
    environment = read_text("/etc/environment")
    if environment is not None:
        files["/etc/environment"] = without_locale(environment)
    return files


def usable(default: str) -> str:
    """What a program says that cannot use the locale; empty where it can."""
    program = "import locale; locale.setlocale(locale.LC_ALL, '')"
    outcome = run(["/usr/bin/python3", "-c", program], environment={"LANG": default, "LC_ALL": ""}, timeout=60)
    return outcome.last_lines(1) if outcome.rc else ""
