# SPDX-License-Identifier: MIT
"""Certificates for tests, made by openssl(1)."""
import contextlib
import pathlib
import re
import subprocess

from serving import TIMEOUT

SUBCOMMANDS = ("dev", "new", "request", "sign", "show", "check", "convert")


class Openssl:
    """openssl(1) in a folder: openssl("x509", "-in", "a.pem") gives what it prints."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def run(self, *words):
        return subprocess.run(["openssl", *words], cwd=self.folder, timeout=TIMEOUT,
                              stdin=subprocess.DEVNULL, capture_output=True)

    def __call__(self, *words, text=True, errors=False):
        done = self.run(*words)
        assert done.returncode == 0, (words, done.stderr.decode())
        out = done.stdout + (done.stderr if errors else b"")
        return out.decode() if text else out

    def fails(self, *words):
        return self.run(*words).returncode != 0

    # ---- certificates

    def key(self, name, kind="ed25519"):
        """A private key in NAME-key.pem: ed25519, p256, or rsa with its bits."""
        options = ["-algorithm", "ed25519"]
        if kind.startswith("rsa"):
            options = ["-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{kind[3:]}"]
        elif kind == "p256":
            options = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        self("genpkey", *options, "-out", f"{name}-key.pem")

    def authority(self, name, common_name, *options, days=3650, key="ed25519"):
        """NAME.pem, NAME-key.pem: an authority that signed itself."""
        self.key(name, key)
        self("req", "-x509", "-new", "-key", f"{name}-key.pem", "-out", f"{name}.pem", "-days",
             str(days), "-subj", f"/CN={common_name}", "-addext",
             "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
             *options)

    def sign(self, name, issuer, extensions, *options, days=365, key="ed25519", subject=None):
        """NAME.pem, NAME-key.pem: signed by an issuer, with lines of extensions."""
        self.key(name, key)
        self("req", "-new", "-key", f"{name}-key.pem", "-out", f"{name}.csr", "-subj",
             f"/CN={subject or name}")
        (self.folder / f"{name}.ext").write_text("\n".join(extensions) + "\n")
        self("x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey",
             f"{issuer}-key.pem", "-days", str(days), "-extfile", f"{name}.ext", "-out",
             f"{name}.pem", *options)

    def revoke(self, issuer, names):
        """ISSUER.crl: a list with these certificates."""
        (self.folder / "index.txt").write_text("")
        (self.folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ndefault_md=default\n"
            "default_crl_days=30\n")
        base = ["ca", "-config", "ca.cnf", "-cert", f"{issuer}.pem", "-keyfile",
                f"{issuer}-key.pem"]
        for name in names:
            self(*base, "-revoke", f"{name}.pem")
        self(*base, "-gencrl", "-out", f"{issuer}.crl")


@contextlib.contextmanager
def tls_server(folder, *options):
    """openssl s_server with these options: the port where it listens."""
    with subprocess.Popen(["openssl", "s_server", "-accept", "127.0.0.1:0", "-www", *options],
                          cwd=folder, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        try:
            yield next(int(match.group(1)) for line in process.stdout
                       if (match := re.match(r"ACCEPT .*:(\d+)", line)))
        finally:
            process.kill()
