"""A certificate authority for the cluster, and the kubeconfig files made from it."""

import base64
import datetime
import ipaddress
import json
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Longer than any such cluster lives: nothing renews these.
LIFETIME = datetime.timedelta(days=3650)

CA_USAGE = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Authority:
    """A certificate authority, and all that it has issued, in one directory."""

    directory: Path

    def certificate(self, name: str) -> Path:
        """Return the path of a certificate."""
        return self.directory / f"{name}.crt"

    def private_key(self, name: str) -> Path:
        """Return the path of a certificate's key."""
        return self.directory / f"{name}.key"

    def issue(
        self, name: str, user: str = "", group: str = "", addresses: tuple[str, ...] = ()
    ) -> None:
        """Make `name`.crt and `name`.key, for clients and servers, signed by `ca` (itself the CA).

        To the API server its holder is `user` of `group`; `addresses` are the names and IPs of a
        server. What exists is left as it is.
        """
        if self.certificate(name).exists():
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(user or name, group)
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        if name == "ca":
            # Python's strict verification wants all of this.
            builder = builder.add_extension(CA_USAGE, critical=True)
            signed = builder.issuer_name(subject).sign(key, hashes.SHA256())
        else:
            usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            if addresses:
                names = [_general_name(address) for address in addresses]
                builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            ca = x509.load_pem_x509_certificate(self.certificate("ca").read_bytes())
            ca_key = serialization.load_pem_private_key(
                self.private_key("ca").read_bytes(), password=None
            )
            assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
            authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
            builder = builder.add_extension(authority, critical=False)
            signed = builder.issuer_name(ca.subject).sign(ca_key, hashes.SHA256())
        write_secret(
            self.private_key(name),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )
        self.certificate(name).write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def kubeconfig(self, path: Path, server: str, name: str, token: str = "") -> None:
        """Write a kubeconfig file for the API server with the URL `server`.

        Its user is the one with the token, or else with the certificate `name`.
        """
        user = {"token": token} if token else self._identity(name)
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "voicepod",
                    "cluster": {
                        "server": server,
                        "certificate-authority-data": _encoded(self.certificate("ca")),
                    },
                }
            ],
            "users": [
                {
                    "name": name,
                    "user": user,
                }
            ],
            "contexts": [{"name": "voicepod", "context": {"cluster": "voicepod", "user": name}}],
            "current-context": "voicepod",
        }
        write_secret(path, json.dumps(content, indent=2).encode())  # JSON is YAML

    def _identity(self, name: str) -> dict[str, str]:
        return {
            "client-certificate-data": _encoded(self.certificate(name)),
            "client-key-data": _encoded(self.private_key(name)),
        }


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    unfinished = path.with_name(path.name + ".tmp")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    os.replace(unfinished, path)


def _subject(user: str, group: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
    if group:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(attributes)


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
