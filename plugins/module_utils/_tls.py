# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Certificates of sites: made here, given, or issued by an ACME server through certbot."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import ssl
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils._files import ensure_directory, read_text, write_atomic
from ansible_collections.emperor.web.plugins.module_utils._process import Result, run

_DAY = 86400
# certbot's timer renews 30 days before the end, its later versions after two thirds of the time; later than this it has
# failed for long. The share is for servers whose certificates last some days only.
_RENEW_DAYS = 20
_RENEW_SHARE = 0.22
_SELF_SIGNED_DAYS = 365
_PUBLIC_SERVER = "https://acme-v02.api.letsencrypt.org/directory"
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)


class TlsError(Exception):
    """A certificate that cannot be used, or could not be had."""


@dataclass(frozen=True)
class Facts:
    """What a certificate says."""

    names: frozenset[str]
    not_before: float
    not_after: float
    issuer: str
    self_signed: bool
    fingerprint: str

    def days(self) -> float:
        """Days that it is still valid."""
        return (self.not_after - time.time()) / _DAY

    def ends_soon(self) -> bool:
        """Whether it should have been renewed by now."""
        return self.days() < min(_RENEW_DAYS, (self.not_after - self.not_before) / _DAY * _RENEW_SHARE)

    def lacks(self, domains: list[str]) -> list[str]:
        """The domains that it is not for."""
        return [domain for domain in domains if not covered(domain, self.names)]


@dataclass(frozen=True)
class Place:
    """Where the two files of a certificate are."""

    certificate: str
    private_key: str


def covered(domain: str, names: frozenset[str]) -> bool:
    """Whether one of a certificate's names is a domain's, or the wildcard above it."""
    wildcard = f"*.{domain.partition('.')[2]}"
    return plain(domain) in names or wildcard in names


def plain(domain: str) -> str:
    """A domain as certificates have it: an IPv6 address without brackets, in its shortest form."""
    try:
        return str(ipaddress.ip_address(domain.strip("[]")))
    except ValueError:
        return domain.lower()


def facts(text: str) -> Facts:
    """What the first certificate of a PEM text says."""
    asked = ["x509", "-noout", "-startdate", "-enddate", "-subject", "-issuer", "-ext", "subjectAltName"]
    outcome = openssl(*asked, stdin=text)
    if outcome.rc != 0:
        raise TlsError("the text is no certificate in PEM; it has to begin with -----BEGIN CERTIFICATE-----")
    lines = dict(re.findall(r"^(notBefore|notAfter|subject|issuer) *= *(.*)$", outcome.stdout, re.MULTILINE))
    names = re.findall(r"(?:DNS|IP Address):([^,\s]+)", outcome.stdout)
    return Facts(
        frozenset(plain(name) for name in names),
        ssl.cert_time_to_seconds(lines["notBefore"]),
        ssl.cert_time_to_seconds(lines["notAfter"]),
        lines["issuer"],
        lines["issuer"] == lines["subject"],
        hashlib.sha256(ssl.PEM_cert_to_DER_cert(_CERTIFICATE.findall(text)[0])).hexdigest(),
    )


def openssl(*arguments: str, stdin: str = "") -> Result:
    """Run openssl."""
    return run(["openssl", *arguments], stdin=stdin, timeout=60)


def check_pair(certificate: str, private_key: str, domains: list[str]) -> list[str]:
    """Refuse a chain and a key that a browser would not accept for the domains; what is only odd is returned."""
    chain = [match.group() for match in _CERTIFICATE.finditer(certificate)]
    found = facts(chain[0] if chain else certificate)
    public = openssl("pkey", "-pubout", stdin=private_key)
    if public.rc != 0:
        raise TlsError("the private key cannot be read; give it as PEM and without a passphrase")
    if public.stdout != openssl("x509", "-noout", "-pubkey", stdin=chain[0]).stdout:
        raise TlsError(
            "the private key belongs to another certificate; the site's own has to be the first of the chain"
        )
    if found.not_before > time.time():
        raise TlsError(f"the certificate is valid only from {day(found.not_before)} on")
    if found.days() <= 0:
        raise TlsError(f"the certificate has expired on {day(found.not_after)}")
    if missing := found.lacks(domains):
        raise TlsError(f"the certificate is for {', '.join(sorted(found.names))}, not for {', '.join(missing)}")
    check_chain(chain)
    check_strength(certificate, private_key)
    warnings = [f"the certificate expires on {day(found.not_after)}"] if found.ends_soon() else []
    if len(chain) == 1 and not found.self_signed and openssl("verify", stdin=chain[0]).rc != 0:
        warnings.append(
            f"the certificate comes without the one of its issuer ({found.issuer}), and this host does not know that "
            f"one; most browsers refuse such a site: append the issuer's certificate"
        )
    return warnings


def check_chain(chain: list[str]) -> None:
    """Refuse a chain in which one certificate is not signed by the next."""
    with tempfile.TemporaryDirectory(prefix="emperor-tls-") as folder:
        for number, (child, parent) in enumerate(pairwise(chain), 1):
            issuer = os.path.join(folder, "issuer.pem")
            write_atomic(issuer, parent)
            checks = ["verify", "-partial_chain", "-no_check_time", "-trusted", issuer]
            if openssl(*checks, stdin=child).rc != 0:
                raise TlsError(
                    f"certificate {number} of the chain is not signed by certificate {number + 1}; "
                    f"put the site's first, then each one's issuer"
                )


def check_strength(certificate: str, private_key: str) -> None:
    """Refuse what OpenSSL does not load, and Nginx therefore not either: a short key, an old signature."""
    with tempfile.TemporaryDirectory(prefix="emperor-tls-") as folder:
        pair = os.path.join(folder, "pair.pem")
        write_atomic(pair, pair_text(certificate, private_key), mode=0o600)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pair)
        except ssl.SSLError as error:
            raise TlsError(
                f"OpenSSL on this host does not take the certificate and its key ({error.reason}); get one with "
                f"SHA-256 and a key of P-256, or of RSA with 2048 bits"
            ) from None


def day(moment: float) -> str:
    """A date, as messages show it."""
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


class Certificate:
    """One wanted certificate."""

    def __init__(self, wanted: dict[str, Any], options: dict[str, Any]) -> None:
        self.name: str = wanted["name"]
        self.domains: list[str] = wanted["domains"]
        self.mode: str = wanted["mode"]
        self.given = (wanted["certificate"] or "", options["private_keys"].get(self.name) or "")
        self.options = options
        self.warnings: list[str] = []
        if self.mode == "acme":
            folder = os.path.join(options["certbot"], "live", f"emperor-{self.name}")
            self.place = Place(os.path.join(folder, "fullchain.pem"), os.path.join(folder, "privkey.pem"))
        else:
            # Both in one file, so that no moment has one of them without the other.
            pair = os.path.join(options["folder"], f"{self.name}.pem")
            self.place = Place(pair, pair)

    def check(self) -> None:
        """Refuse what cannot work, before anything is changed."""
        if self.mode == "files":
            if not self.given[1]:
                raise TlsError("private_keys has no key for its certificate")
            self.warnings = check_pair(*self.given, self.domains)
        addresses = [domain for domain in self.domains if is_address(domain)]
        if self.mode == "acme" and addresses:
            raise TlsError(f"ACME is for host names, not for the address {addresses[0]}; use self_signed or files")

    def facts(self) -> Facts | None:
        """What the certificate that is there says."""
        text = read_text(self.place.certificate)
        return facts(text) if text else None

    def usable(self) -> bool:
        """Whether what is there can be served."""
        found = self.facts()
        return bool(found and found.days() > 0)

    def right(self) -> bool:
        """Whether what is there is what is wanted."""
        return self._current() and not self._exposed()

    def _current(self) -> bool:
        if self.mode == "files":
            return read_text(self.place.certificate) == pair_text(*self.given)
        found = self.facts()
        # A name too many matters too: certbot would renew it, and fail when it leads elsewhere by then.
        if not found or found.names != self._names() or found.ends_soon():
            return False
        return self.mode != "acme" or self._issued_there()

    def _names(self) -> set[str]:
        return {plain(domain) for domain in self.domains}

    def _exposed(self) -> bool:
        """Whether others can read the key. The group of one that certbot made is up to the host's administrator."""
        try:
            state = os.stat(self.place.private_key)
        except FileNotFoundError:
            return False
        return bool(state.st_mode & (0o007 if self.mode == "acme" else 0o077)) or state.st_uid != os.geteuid()

    def make(self) -> None:
        """Put the files there; ACME's are issued."""
        if self._exposed():
            done = "a new one was made" if self.mode == "self_signed" else "they cannot any more, but it may be known"
            self.warnings.append(f"others could read the key in {self.place.private_key}; {done}")
        if self.mode == "acme":
            if not self._current():
                self._issue()
            if self._exposed():
                close(self.place.private_key)
            return
        pair = self.given if self.mode == "files" else self_signed(self.domains)
        ensure_directory(self.options["folder"], mode=0o700, uid=os.geteuid(), gid=os.getegid())
        write_atomic(self.place.private_key, pair_text(*pair), mode=0o600)

    # ACME.

    def _issued_there(self) -> bool:
        """Whether it comes from the wanted server; one from a server for tests has to make room."""
        text = read_text(os.path.join(self.options["certbot"], "renewal", f"emperor-{self.name}.conf")) or ""
        server = re.search(r"^server *= *(\S+)", text, re.MULTILINE)
        return bool(server and server.group(1) == self._server())

    def _server(self) -> str:
        return self.options["acme_directory"] or _PUBLIC_SERVER

    def _issue(self) -> None:
        found = self.facts()
        if not os.path.isdir(self.options["webroot"]):
            ensure_directory(self.options["webroot"], mode=0o755)
        argv = ["certbot", "certonly", "--non-interactive", "--agree-tos", "--webroot"]
        argv += [f"--webroot-path={self.options['webroot']}", f"--config-dir={self.options['certbot']}"]
        argv += [f"--cert-name=emperor-{self.name}", "--key-type=ecdsa", "--renew-with-new-domains"]
        argv.append(f"--deploy-hook={self.options['reload']}")  # certbot keeps it for the renewals
        argv.append(f"--server={self._server()}")
        email = self.options["acme_email"]
        argv += [f"--email={email}", "--no-eff-email"] if email else ["--register-unsafely-without-email"]
        if found and found.names == self._names():
            argv.append("--force-renewal")
        argv += [f"--domain={domain}" for domain in self.domains]
        outcome = run(argv, environment=proxies(), timeout=self.options["timeout"])
        if outcome.rc == 0 and self.usable():
            return
        if outcome.rc == 0:
            raise TlsError(
                f"certbot has a certificate, but not at {self.place.certificate}; see certbot certificates, and delete "
                f"what is left of emperor-{self.name} there"
            )
        # The reason for a challenge that has failed is on standard output, all else on the other.
        said = explained(f"{outcome.stdout}\n{outcome.stderr}")
        if outcome.timed_out:
            said = f"certbot had not finished after {self.options['timeout']} seconds. {said}".strip()
        problem = f"no certificate for {', '.join(self.domains)}: {said}"
        if found and found.days() > 0 and not found.lacks(self.domains):
            self.warnings.append(f"{problem}; the present one serves until {day(found.not_after)}")
            return
        raise TlsError(f"{problem}; the site serves as before. Run again when the cause is mended")


class Timer:
    """The systemd timer that has certificates renewed; no name means that there is none."""

    def __init__(self, name: str) -> None:
        self.name = name

    def is_off(self) -> bool:
        """Whether it has to be started, now or at the next boot."""
        questions = ("is-enabled", "is-active") if self.name else ()
        return any(run(["systemctl", "--quiet", question, self.name], timeout=60).rc for question in questions)

    def start(self) -> list[str]:
        """Have it run, now and after a boot; what is wrong if it does not."""
        outcome = run(["systemctl", "enable", "--now", self.name], timeout=60)
        if outcome.rc == 0:
            return []
        return [
            f"{self.name} cannot be started, so nothing would renew the certificates: {outcome.last_lines()}; unmask "
            f"or repair it, or set timer to the unit that renews them"
        ]


def close(private_key: str) -> None:
    """Take a key away from all but its owner and its group."""
    os.chown(private_key, os.geteuid(), -1)
    os.chmod(private_key, os.stat(private_key).st_mode & 0o770)


def pair_text(certificate: str, private_key: str) -> str:
    """The content of a file with both."""
    return f"{certificate.strip()}\n{private_key.strip()}\n"


def self_signed(domains: list[str]) -> tuple[str, str]:
    """The texts, certificate and key, of a new certificate that nobody but its holder trusts."""
    names = ",".join(f"{'IP' if is_address(domain) else 'DNS'}:{plain(domain)}" for domain in domains)
    with tempfile.TemporaryDirectory(prefix="emperor-tls-") as folder:
        key, certificate = os.path.join(folder, "key.pem"), os.path.join(folder, "certificate.pem")
        argv = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256"]
        argv += ["-days", str(_SELF_SIGNED_DAYS), "-subj", f"/CN={plain(domains[0])[:64]}"]
        argv += ["-addext", f"subjectAltName={names}", "-keyout", key, "-out", certificate]
        outcome = openssl(*argv)
        if outcome.rc != 0:
            raise TlsError(f"openssl made no certificate: {outcome.last_lines()}")
        return read_text(certificate) or "", read_text(key) or ""


def explained(said: str) -> str:
    """The reason in what certbot said, with its advice."""
    details = re.findall(r"^\s*(Domain|Type|Detail): *(.+)$", said, re.MULTILINE)
    if details:
        return "; ".join(f"{text}" for kind, text in details if kind in ("Domain", "Detail"))
    noise = ("Saving debug log", "Ask for help", "Some challenges have failed", "See the logfile")
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith(noise)]
    return " ".join(lines[-4:])


def proxies() -> dict[str, str]:
    """The proxy settings of the task, which certbot has to use as well."""
    return {
        name: value for name, value in os.environ.items() if name.lower() in ("http_proxy", "https_proxy", "no_proxy")
    }


def is_address(domain: str) -> bool:
    """Whether a site is reached by an IP address."""
    try:
        ipaddress.ip_address(domain.strip("[]"))
        return True
    except ValueError:
        return False
