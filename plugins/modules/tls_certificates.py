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

from ansible_collections.emperor.web.plugins.module_utils._module_tls_certificates import main

if __name__ == "__main__":
    main()
