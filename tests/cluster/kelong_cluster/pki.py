"""Keys and certificates of one node's control plane, made anew for each start."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from kelong_cluster import commands, host

_DAYS = "30"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Whom a certificate names."""

    name: str  # of the files
    common_name: str
    organisation: str | None = None
    addresses: tuple[str, ...] = ()  # a server's; none makes it a client's


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; `create` fills it."""
        self.folder = folder

    def create(self) -> None:
        """Make the authority and the key pair that service account tokens are signed with."""
        self.folder.mkdir(mode=0o700, parents=True)
        self._key("ca")
        _openssl("req", "-x509", "-new", "-key", self.key("ca"), "-days", _DAYS, "-subj", "/CN=kelong-cluster-ca",
                 "-out", self.certificate("ca"))  # fmt: skip
        self._key("service-accounts")
        _openssl("pkey", "-in", self.key("service-accounts"), "-pubout", "-out",
                 self.folder / "service-accounts.pub")  # fmt: skip

    def key(self, name: str) -> Path:
        """A private key's file."""
        return self.folder / f"{name}.key"

    def certificate(self, name: str) -> Path:
        """A certificate's file."""
        return self.folder / f"{name}.crt"

    def issue(self, identity: Identity) -> None:
        """Make a key and a certificate for somebody."""
        self._key(identity.name)
        organisation = f"/O={identity.organisation}" if identity.organisation else ""
        usage = "serverAuth" if identity.addresses else "clientAuth"
        extensions = f"keyUsage=critical,digitalSignature\nextendedKeyUsage={usage}\n"
        if identity.addresses:
            names = (f"{'IP' if address[0].isdigit() else 'DNS'}:{address}" for address in identity.addresses)
            extensions += f"subjectAltName={','.join(names)}\n"
        extension_file = self.folder / f"{identity.name}.ext"
        extension_file.write_text(extensions)
        request = self.folder / f"{identity.name}.csr"
        _openssl("req", "-new", "-key", self.key(identity.name), "-out", request,
                 "-subj", f"{organisation}/CN={identity.common_name}")  # fmt: skip
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate("ca"), "-CAkey", self.key("ca"),
                 "-CAcreateserial", "-days", _DAYS, "-extfile", extension_file,
                 "-out", self.certificate(identity.name))  # fmt: skip

    def kubeconfig(self, name: str, server: str) -> Path:
        """A kubeconfig, with the keys inside, for somebody who has a certificate."""
        path = self.folder / f"{name}.kubeconfig"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "kelong",
                    "cluster": {"server": server, "certificate-authority-data": _inline(self.certificate("ca"))},
                }
            ],
            "users": [
                {
                    "name": name,
                    "user": {
                        "client-certificate-data": _inline(self.certificate(name)),
                        "client-key-data": _inline(self.key(name)),
                    },
                }
            ],
            "contexts": [{"name": "kelong", "context": {"cluster": "kelong", "user": name}}],
            "current-context": "kelong",
        }
        path.write_text(json.dumps(content, indent=1))
        path.chmod(0o600)
        return path

    def _key(self, name: str) -> None:
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.key(name))


def _openssl(*arguments: str | Path) -> None:
    commands.run([host.program("openssl"), *arguments])


def _inline(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
