"""The server's certificate and the CA that it comes from, made once in a directory: root.pem, server.pem, server.key."""
import datetime
import ipaddress
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DNS_NAMES = ("localhost", "global.azure-devices-provisioning.net")


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer, issuer_key, extensions):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.PEM)


def write(path, octets):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(octets)


def make(directory):
    """Makes what is not there yet."""
    root, server, server_key = (os.path.join(directory, file) for file in ("root.pem", "server.pem", "server.key"))
    if not os.path.exists(server_key):
        os.makedirs(directory, exist_ok=True)
        ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        ca, host = name("DPS double root"), name("localhost")
        addresses = [x509.DNSName(one) for one in DNS_NAMES] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        write(root, certificate(ca, ca_key, ca, ca_key, [(x509.BasicConstraints(True, 0), True)]))
        write(server, certificate(host, key, ca, ca_key, [(x509.SubjectAlternativeName(addresses), False)]))
        write(server_key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return server, server_key
