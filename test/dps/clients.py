"""Client certificates as DPS judges them: what is enrolled verifies the chain, and the registration is its common name."""
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from OpenSSL import crypto

import datetime
import re

INVALID, NO_CA = "Invalid certificate.", "CA certificate not found."
EXPIRED, NO_ISSUER = 10, (2, 18, 19, 20, 21)


def der(certificate):
    return certificate.public_bytes(Encoding.DER)


def name_of(certificate):
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return names[0].value if names else ""


def read_pem(path):
    with open(path, "rb") as file:
        blocks = re.findall(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", file.read(), re.DOTALL)
    return [x509.load_pem_x509_certificate(block) for block in blocks]


def anchors(proof, chain):
    """The certificates that an enrolment trusts: those of a file, or of the chain the one with that thumbprint."""
    if re.fullmatch("[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}", proof):
        algorithm = hashlib.sha1 if len(proof) == 40 else hashlib.sha256
        return [one for one in chain if algorithm(der(one)).hexdigest() == proof.lower()]
    return read_pem(proof)


def chain_refusal(chain, trusted, now_s):
    store = crypto.X509Store()
    for one in trusted:
        store.add_cert(crypto.X509.from_cryptography(one))
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    store.set_time(datetime.datetime.fromtimestamp(now_s, datetime.timezone.utc))
    leaf, *rest = [crypto.X509.from_cryptography(one) for one in chain]
    try:
        crypto.X509StoreContext(store, leaf, rest).verify_certificate()
    except crypto.X509StoreContextError as error:
        found = error.errors
        return NO_CA if found[0] in NO_ISSUER else INVALID, found[2]
    return None


def is_revoked(certificate, crl_path):
    with open(crl_path, "rb") as file:
        crl = x509.load_pem_x509_crl(file.read())
    return (
        crl.issuer == certificate.issuer
        and crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
    )


def refusal(chain, enrolment, registration, now_s):
    """DPS's word and the reason; None when the chain is good for ENROLMENT and REGISTRATION."""
    if not chain:
        return "Unauthorized", "the client has sent no certificate"
    if name_of(chain[0]).lower() != registration.lower():
        return INVALID, "the certificate's common name is " + name_of(chain[0])
    trusted = anchors(enrolment.proof, chain)
    if not trusted:
        return INVALID, "it is not the certificate that is enrolled"
    if enrolment.crl and is_revoked(chain[0], enrolment.crl):
        return INVALID, "the certificate is revoked"
    return chain_refusal(chain, trusted, now_s)


def information(enrolment, chain):
    """What registrationState says about the certificate."""
    leaf = chain[0]
    return {
        "enrollmentGroupId": enrolment.name if enrolment.kind == "group" else None,
        "certificateInfo": {
            "subjectName": leaf.subject.rfc4514_string(),
            "issuerName": leaf.issuer.rfc4514_string(),
            "sha1Thumbprint": hashlib.sha1(der(leaf)).hexdigest().upper(),
            "sha256Thumbprint": hashlib.sha256(der(leaf)).hexdigest().upper(),
            "serialNumber": "%X" % leaf.serial_number,
            "version": 3,
        },
    }
