# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What M(emperor.web.tls_certificates) does, for itself and for M(emperor.web.settled)."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._files import explain_os_error
from ansible_collections.emperor.web.plugins.module_utils._process import run
from ansible_collections.emperor.web.plugins.module_utils._tls import Certificate, Timer, TlsError, day
from ansible_collections.emperor.web.plugins.module_utils._tls_absent import Absent

CERTIFICATE_ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "domains": {"type": "list", "elements": "str", "required": True},
    "mode": {"type": "str", "choices": ["self_signed", "files", "acme"], "required": True},
    "certificate": {"type": "str"},
}


def entry(certificate: Certificate) -> dict:
    """What a web server needs to know of a certificate."""
    found = certificate.facts()
    known = {"not_after": day(found.not_after), "fingerprint": found.fingerprint} if found else {}
    return {"certificate": certificate.place.certificate, "private_key": certificate.place.private_key, **known}


def built(said: str) -> dict[str, str | bool]:
    """What nginx -V says, as far as it decides how TLS is written."""
    version, openssl = re.search(r"nginx/([0-9.]+)", said), re.findall(r"OpenSSL ([0-9]+\.[0-9]+)", said)
    return {
        "version": version.group(1) if version else "",
        "openssl": openssl[-1] if openssl else "",
        "http3": "--with-http_v3_module" in said,
    }


def make(due: list[Certificate]) -> tuple[list[str], list[str]]:
    """Make certificates; the names of those that are right now, and what keeps others from being so."""
    issued, problems = [], []
    for each in due:
        try:
            each.make()
        except (TlsError, OSError) as error:
            said = explain_os_error(error, each.place.private_key) if isinstance(error, OSError) else str(error)
            problems.append(f"site {each.name}: {said}")
        issued += [each.name] if each.right() else []
    return issued, problems


def remove(module: AnsibleModule) -> list[str]:
    """Remove the certificates that are not wanted any more; their names."""
    removed: list[str] = []
    for each in [Absent(name, module.params) for name in module.params["absent"]]:
        if not each.there():
            continue
        if used := each.used_by():
            module.warn(f"the certificate of {each.name} is kept, because {used[0]} names it")
            continue
        if not module.check_mode:
            try:
                each.remove()
            except (TlsError, OSError) as error:
                module.fail_json(msg=f"site {each.name}: {error}", issued=[], removed=removed)
        removed.append(each.name)
    return removed


def main(create: Callable[..., AnsibleModule] = AnsibleModule) -> None:
    """Check all, make what is missing, tell what can be served."""
    module = create(
        argument_spec={
            "certificates": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": CERTIFICATE_ARGUMENTS,
                "required_if": [("mode", "files", ("certificate",))],
            },
            "private_keys": {"type": "dict", "default": {}, "no_log": True},
            "issue": {"type": "bool", "default": True},
            "absent": {"type": "list", "elements": "str", "default": []},
            "configuration": {"type": "path", "default": "/etc/nginx"},
            "folder": {"type": "path", "default": "/etc/emperor-tls"},
            "certbot": {"type": "path", "default": "/etc/letsencrypt"},
            "webroot": {"type": "path", "default": "/var/lib/emperor-acme"},
            "reload": {"type": "str", "default": "systemctl reload nginx"},
            "timer": {"type": "str", "default": "certbot.timer"},
            "acme_directory": {"type": "str"},
            "acme_email": {"type": "str"},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    given = module.params
    wanted = [Certificate(options, given) for options in given["certificates"]]
    removed = remove(module)
    nginx = built(run(["nginx", "-V"], timeout=60).stderr)
    if not shutil.which("openssl"):
        if not module.check_mode:
            module.fail_json(msg="openssl is not installed on the host; install the package openssl")
        module.warn("openssl is not installed yet, so the certificates could not be checked")
        names = [each.name for each in wanted if given["issue"] or each.mode != "acme"]
        module.exit_json(changed=bool(names or removed), issued=names, removed=removed, certificates={}, nginx=nginx)
    for each in wanted:
        try:
            each.check()
        except TlsError as error:
            module.fail_json(msg=f"site {each.name}: {error}", issued=[])
    due = [each for each in wanted if (given["issue"] or each.mode != "acme") and not each.right()]
    timer = Timer(given["timer"] if given["issue"] and any(each.mode == "acme" for each in wanted) else "")
    off = timer.is_off()
    issued, problems = ([each.name for each in due], []) if module.check_mode else make(due)
    if off and not module.check_mode:
        problems += timer.start()
    changes = [f"certificate of {name} removed" for name in removed]
    changes += [f"certificate of {name}" for name in issued] + ([f"{timer.name} enabled and started"] if off else [])
    for each in wanted:
        for warning in each.warnings:
            module.warn(f"site {each.name}: {warning}")
    if problems:
        module.fail_json(msg="; ".join(problems), issued=issued, changed=bool(changes))
    module.exit_json(
        changed=bool(changes),
        issued=issued,
        removed=removed,
        certificates={each.name: entry(each) for each in wanted if each.usable()},
        nginx=nginx,
        diff={"before": "", "after": "".join(f"{change}\n" for change in changes)} if changes else {},
    )
