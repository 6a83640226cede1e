# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""The environment of an app: one source, read the same way by every process, never printed."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any
from urllib.parse import unquote, urlsplit

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_NAME = re.compile(r"SECRET|PASS|PWD|TOKEN|KEY|CREDENTIAL|AUTH|DSN|SALT|PRIVATE", re.IGNORECASE)
_LOOSE_PASSWORD = re.compile(r"://[^\s:/@]*:(\S+)@")
_HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


class EnvironmentFileError(Exception):
    """An environment file is missing, unreadable or not of a known form."""


def normalise(environment: dict[str, Any] | None) -> dict[str, str]:
    """Environment values as the strings a process sees; booleans as YAML users mean them."""
    result = {}
    for name, value in (environment or {}).items():
        if not NAME.fullmatch(str(name)):
            raise ValueError(f"environment: {name!r} is no valid variable name; use letters, digits and _")
        if value is None:
            continue
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif isinstance(value, (list, dict)):
            raise ValueError(f"environment: {name} must be a string or a number, not a {type(value).__name__}")
        value = str(value)
        if "\0" in value:
            raise ValueError(f"environment: {name} holds a NUL byte, which no process environment can carry")
        result[str(name)] = value
    return result


def read_file(path: str) -> dict[str, str]:
    """Read a JSON object, or lines NAME=value as in systemd's EnvironmentFile (quotes, no expansion)."""
    try:
        with open(path, encoding="utf-8") as handle:
            text = handle.read()
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentFileError(f"environment_file {path} cannot be read: {error}") from None
    if text.lstrip().startswith("{"):
        try:
            return normalise(json.loads(text))
        except (ValueError, AttributeError) as error:
            raise EnvironmentFileError(f"environment_file {path} is no JSON object: {error}") from None
    return _parse_lines(text, path)


def _parse_lines(text: str, path: str) -> dict[str, str]:
    result = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip(" \t\r")  # not every blank of Unicode: a value may end in one
        if not line or line[0] in "#;":
            continue
        name, separator, value = line.removeprefix("export ").partition("=")
        if not separator or not NAME.fullmatch(name.strip()):
            raise EnvironmentFileError(f"environment_file {path}, line {number}: expected NAME=value")
        value = value.strip(" \t")
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        result[name.strip()] = value
    try:
        return normalise(result)
    except ValueError as error:
        raise EnvironmentFileError(f"environment_file {path} cannot be used, {error}") from None


def secret_values(environment: dict[str, str]) -> set[str]:
    """The values that must not appear in a return value: by the variable's name, and passwords inside URLs."""
    secrets = set()
    for name, value in environment.items():
        if _SECRET_NAME.search(name):
            secrets.add(value)
        if "://" in value:
            secrets |= url_passwords(value)
    return {form for value in secrets for form in _forms(value) if len(form) >= 4}


def _forms(value: str) -> set[str]:
    """How a value may come up in a text: without blanks around it, its lines, or as Python and JSON write it."""
    lines = value.splitlines()
    long_lines = {line.strip() for line in lines if len(line.strip()) >= 8} if len(lines) > 1 else set()
    quoted = {repr(value)[1:-1], json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    return {value, value.strip()} | long_lines | quoted


def url_passwords(url: str) -> set[str]:
    """The password of a URL, as it is written and as it is meant."""
    passwords = set(_LOOSE_PASSWORD.findall(url))  # urlsplit finds none that has a # or [ in it
    with contextlib.suppress(ValueError):
        passwords.add(urlsplit(url).password or "")
    return {form for password in passwords if password for form in (password, unquote(password))}


def without_credentials(url: str) -> str:
    """A URL that may be shown: user and password are cut out."""
    return re.sub(r"(?<=://)[^/\s]*@", "", url)


def take_environment(module: Any, option: str = "environment") -> dict[str, str]:
    """Read a C(no_log) mapping of a module and keep its secrets, and only those, out of what the module prints.

    AnsibleModule would mask every value of the mapping wherever it occurs, so that C(DEBUG=0) turns each 0 of
    the result into asterisks. The mapping itself must still not be shown.
    """
    given = module.params[option] or {}
    try:
        environment = normalise(given)
    except ValueError as error:
        module.fail_json(msg=str(error))
    for value in given.values():
        module.no_log_values.discard(str(value))
    module.no_log_values |= secret_values(environment)
    if given:
        module.params[option] = dict.fromkeys(given, _HIDDEN)
    return environment
