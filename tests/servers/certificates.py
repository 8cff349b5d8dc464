"""Certificates for tests of TLS."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def make_certificates(directory: Path) -> Path:
    """Fill `directory`, and return it, with pairs of .pem and .key files.

    ca, stranger       two authorities
    server, client     signed by ca; the server's for 127.0.0.1 and localhost
    elsewhere          a server's, signed by ca, for another name
    """
    assert shutil.which("openssl"), "openssl is not installed: run `make servers` (needs root)"

    def run(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for name in ("ca", "stranger"):
        run(*new, "-x509", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2")
    here, there = "IP:127.0.0.1,DNS:localhost", "DNS:elsewhere.example"
    for name, names in (("server", here), ("client", here), ("elsewhere", there)):
        (directory / "names").write_text(f"subjectAltName={names}")
        run(*new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        run("x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.pem")
    return directory
