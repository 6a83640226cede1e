#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_certificates
short_description: Have a certificate for each site, made here, given, or issued by an ACME server
version_added: 0.1.0
description:
  - A certificate is made or issued only when the one that is there is not for exactly the domains of the site, comes
    from another ACME server, has a key that others can read, or ends within 20 days (one that lasts less than 90 days,
    in the last 22 percent of its time); so a second run changes nothing.
  - Given certificates are checked before anything is changed. The key has to match, each certificate of the chain has
    to be signed by the next, the dates have to be right, all domains have to be named, and OpenSSL on the host has to
    take both, which it does not with short keys and old signatures.
  - ACME certificates are issued by C(certbot) with the challenge HTTP-01 in O(webroot), which the web server has to
    serve at C(/.well-known/acme-challenge/). O(timer) renews them 30 days before their end or earlier.
  - The certificates of sites that are gone are removed when they are named in O(absent).
  - A failed ACME request leaves the certificate that is there in place, and keeps no other site from its own. While
    that certificate is valid, and for all domains, it is a warning.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
options:
  certificates:
    description: The certificates.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the site.
        type: str
        required: true
      domains:
        description: Host names, and for certificates other than ACME's IP addresses, that it has to be for.
        type: list
        elements: str
        required: true
      mode:
        description: Made here (V(self_signed)), given (V(files)), or issued by an ACME server (V(acme)).
        type: str
        choices: [self_signed, files, acme]
        required: true
      certificate:
        description: The certificate and those of its issuers, PEM, their text; with O(certificates[].mode=files).
        type: str
  private_keys:
    description:
      - The keys of given certificates, by the name of the site; PEM, their text, without a passphrase.
      - They are no part of O(certificates), because Ansible writes lists to the journal, and does not find a secret
        with line breaks in them.
    type: dict
    default: {}
  issue:
    description:
      - Whether to ask the ACME server for what is missing. V(false) only tells, in RV(certificates), which of its
        certificates are there, so that the web server can be made ready for the challenge first.
    type: bool
    default: true
  absent:
    description:
      - Names of sites whose certificates are to go, the files with their keys, and what C(certbot) would renew.
      - One that a file in O(configuration) names is kept, with a warning.
    type: list
    elements: str
    default: []
  configuration:
    description: Folder of the web server's configuration.
    type: path
    default: /etc/nginx
  folder:
    description: Folder of the certificates that were made here or given; each is a file with its key, mode 0600.
    type: path
    default: /etc/emperor-tls
  certbot:
    description: Configuration folder of C(certbot).
    type: path
    default: /etc/letsencrypt
  webroot:
    description: Folder that the web server serves the challenge from; it is made where it is missing.
    type: path
    default: /var/lib/emperor-acme
  reload:
    description: Command that makes the web server take a certificate, after its issue and after each renewal.
    type: str
    default: systemctl reload nginx
  timer:
    description:
      - The systemd timer that renews ACME's certificates; it is enabled and started. Empty when something else renews
        them.
    type: str
    default: certbot.timer
  acme_directory:
    description:
      - URL of the ACME server's directory; Let's Encrypt unless given. A certificate of another server is replaced, so
        one of a server for tests as well.
    type: str
  acme_email:
    description: Address for the account at the ACME server; an account without one unless given.
    type: str
  timeout:
    description: Seconds after which one request for a certificate is given up.
    type: int
    default: 300
requirements:
  - C(openssl) on the host
  - C(certbot) on the host, for O(certificates[].mode=acme)
"""

EXAMPLES = r"""
- name: Have a certificate for a first try
  emperor.web.tls_certificates:
    certificates:
      - name: shop
        domains: [shop.example.com]
        mode: self_signed

- name: Install a certificate that was bought
  emperor.web.tls_certificates:
    certificates:
      - name: shop
        domains: [shop.example.com, www.shop.example.com]
        mode: files
        certificate: "{{ lookup('ansible.builtin.file', 'shop.pem') }}"
    private_keys:
      shop: "{{ vault_shop_key }}"

- name: Remove the certificate of a site that is gone
  emperor.web.tls_certificates:
    certificates: []
    absent: [shop]

- name: Have certificates issued by an ACME server of one's own
  emperor.web.tls_certificates:
    acme_directory: https://acme.example.com/directory
    acme_email: ann@example.com
    certificates:
      - name: shop
        domains: [shop.example.com]
        mode: acme
"""

RETURN = r"""
certificates:
  description:
    - One entry for each certificate that is there and can be served, by the name of the site, with the paths
      C(certificate) and C(private_key), C(not_after), the last day of validity, and C(fingerprint), its SHA-256.
  returned: success
  type: dict
  sample:
    shop:
      certificate: /etc/letsencrypt/live/emperor-shop/fullchain.pem
      private_key: /etc/letsencrypt/live/emperor-shop/privkey.pem
      not_after: "2027-02-20"
      fingerprint: 9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab
issued:
  description: Names of the sites whose certificate was made, installed or issued, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [shop]
nginx:
  description:
    - What C(nginx -V) says on the host; C(openssl) is the version that Nginx runs with, C(http3) tells whether it is
      built with HTTP/3. Empty texts and false where there is no Nginx.
  returned: success
  type: dict
  sample: {version: 1.26.3, openssl: "3.5", http3: true}
removed:
  description: Names of O(absent) whose certificate was removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [blog]
"""

import re
import shutil

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


def main() -> None:
    """Check all, make what is missing, tell what can be served."""
    module = AnsibleModule(
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


if __name__ == "__main__":
    main()
