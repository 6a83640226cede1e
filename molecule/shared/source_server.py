#!/usr/bin/env python3
"""Serve what make_sources.py made: Git over HTTPS and HTTP, archives, a package index, and the only way to them.

    source_server.py FOLDER

Port 8443 is HTTPS and wants a login, port 8080 is HTTP and open, port 8888 is a proxy. The name git.emperor.test exists
in no DNS: only the proxy knows it, so whoever reaches it has used the proxy.
"""

from __future__ import annotations

import base64
import gzip
import http.server
import os
import select
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

LOGIN = "deploy:p@ss/word-of-the-source"
FOLDER = Path(sys.argv[1])


class Sources(http.server.SimpleHTTPRequestHandler):
    """Git's smart HTTP protocol below /git/, files elsewhere."""

    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, directory=str(FOLDER), **keywords)

    def do_GET(self):
        if not self._permitted():
            return
        path, _mark, query = self.path.partition("?")
        if path.endswith("/info/refs") and query == "service=git-upload-pack":
            listed = self._git(path.removesuffix("/info/refs"), "--advertise-refs")
            head = b"001e# service=git-upload-pack\n0000" if listed else b""
            self._answer("application/x-git-upload-pack-advertisement", head + listed)
        else:
            super().do_GET()

    def do_POST(self):
        if not self._permitted():
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        repository = self.path.removesuffix("/git-upload-pack")
        self._answer("application/x-git-upload-pack-result", self._git(repository, body=body))

    def _permitted(self) -> bool:
        expected = "Basic " + base64.b64encode(LOGIN.encode()).decode()
        if self.server.open or self.headers.get("Authorization") == expected:
            return True
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="sources"')
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def _git(self, path: str, *options: str, body: bytes = b"") -> bytes:
        command = ["git", "upload-pack", "--stateless-rpc", *options, str(FOLDER) + path]
        environment = os.environ | {"GIT_CONFIG_COUNT": "1"}
        environment |= {"GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        return subprocess.run(command, input=body, capture_output=True, env=environment).stdout

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Proxy(http.server.BaseHTTPRequestHandler):
    """CONNECT to git.emperor.test, and to nothing else."""

    def do_CONNECT(self):
        host, _colon, _port = self.path.partition(":")
        if host != "git.emperor.test":
            self.send_error(403, "this proxy leads to git.emperor.test only")
            return
        upstream = socket.create_connection(("127.0.0.1", 8443))
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        pair = {self.connection: upstream, upstream: self.connection}
        while True:
            for ready in select.select(list(pair), [], [], 60)[0]:
                data = ready.recv(1 << 16)
                if not data:
                    return
                pair[ready].sendall(data)


def serve(port: int, handler, *, tls: bool = False, everybody: bool = False) -> None:
    server = http.server.ThreadingHTTPServer(("0.0.0.0", port), handler)
    server.open = everybody
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(FOLDER / "server.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    serve(8443, Sources, tls=True)
    serve(8080, Sources, everybody=True)
    serve(8888, Proxy)
