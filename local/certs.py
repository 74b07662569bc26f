"""A certificate authority for the cluster, and the kubeconfig files made from it."""

import base64
import datetime
import ipaddress
import json
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local.layout import BRIDGE_IP, STATE

PKI = STATE / "pki"
API_SERVER = f"https://{BRIDGE_IP}:6443"

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


def certificate(name: str) -> Path:
    """Return the path of a certificate."""
    return PKI / f"{name}.crt"


def private_key(name: str) -> Path:
    """Return the path of a certificate's key."""
    return PKI / f"{name}.key"


def issue(name: str, user: str = "", group: str = "", addresses: tuple[str, ...] = ()) -> None:
    """Make `name`.crt and `name`.key, for clients and servers, signed by `ca` (which is the CA).

    To the API server its holder is `user` of `group`; `addresses` are the names and IPs of a
    server. What exists is left as it is.
    """
    if certificate(name).exists():
        return
    PKI.mkdir(parents=True, exist_ok=True)
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
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
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
        ca = x509.load_pem_x509_certificate(certificate("ca").read_bytes())
        ca_key = serialization.load_pem_private_key(private_key("ca").read_bytes(), password=None)
        assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        builder = builder.add_extension(authority, critical=False)
        signed = builder.issuer_name(ca.subject).sign(ca_key, hashes.SHA256())
    write_secret(
        private_key(name),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    certificate(name).write_bytes(signed.public_bytes(serialization.Encoding.PEM))


def kubeconfig(name: str, path: Path) -> None:
    """Write a kubeconfig file whose user is the holder of certificate `name`."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "voicepod",
                "cluster": {
                    "server": API_SERVER,
                    "certificate-authority-data": _encoded(certificate("ca")),
                },
            }
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": _encoded(certificate(name)),
                    "client-key-data": _encoded(private_key(name)),
                },
            }
        ],
        "contexts": [{"name": "voicepod", "context": {"cluster": "voicepod", "user": name}}],
        "current-context": "voicepod",
    }
    write_secret(path, json.dumps(content, indent=2).encode())  # JSON is YAML


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
