"""What the TPM 2.0 library specification has a stranger compute about a TPM whose public areas he knows.

Public areas are read out of their TPM2B_PUBLIC. `protect` is the outer wrap that MakeCredential and duplication share (part 1,
sections 23 and 24): a seed under the parent's public key, and below it KDFa's two keys for AES-CFB and HMAC. Nothing here has
seen lib/duplicate.c: the primitives are those of python3-cryptography.
"""
import hashlib
import hmac
import os
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode

RSA, KEYEDHASH, HMAC, AES, SHA256, NULL, ECC, CFB = 0x0001, 0x0008, 0x0005, 0x0006, 0x000B, 0x0010, 0x0023, 0x0043
HASHES = {0x000B: hashes.SHA256(), 0x000C: hashes.SHA384(), 0x000D: hashes.SHA512()}
CURVES = {0x0003: ec.SECP256R1(), 0x0004: ec.SECP384R1()}
POLICY_DUPLICATE = bytes.fromhex("bef56b8c1cc84e11edd717528d2cd99356bd2bbf8f015209c3f84aeeaba8e8a2")


def tpm2b(octets):
    return struct.pack(">H", len(octets)) + octets


class Reader:
    """Big-endian fields, one after the other; a structure that ends early or has more than it should is a ValueError."""

    def __init__(self, octets):
        self.octets, self.at = octets, 0

    def take(self, size):
        if self.at + size > len(self.octets):
            raise ValueError("the public area ends early")
        self.at += size
        return self.octets[self.at - size : self.at]

    def u16(self):
        return struct.unpack(">H", self.take(2))[0]

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def tpm2b(self):
        return self.take(self.u16())

    def end(self):
        if self.at != len(self.octets):
            raise ValueError("there is more behind the public area")


class Public:
    """A storage key, or an endorsement key: .key, .name, and the sizes that the protection of what is below it takes."""

    def __init__(self, octets):
        outer = Reader(octets)
        area = outer.tpm2b()
        outer.end()
        reader = Reader(area)
        kind, self.name_alg = reader.u16(), reader.u16()
        if self.name_alg not in HASHES:
            raise ValueError("an unknown name algorithm")
        reader.u32()
        reader.tpm2b()
        self.hash = HASHES[self.name_alg]
        self.name = struct.pack(">H", self.name_alg) + digest(self.hash, area)
        self.key = {RSA: self.read_rsa, ECC: self.read_ecc}.get(kind, self.read_other)(reader)
        reader.end()

    def read_cipher(self, reader):
        cipher, self.cipher_bits, mode, scheme = reader.u16(), reader.u16(), reader.u16(), reader.u16()
        if (cipher, mode, scheme) != (AES, CFB, NULL):
            raise ValueError("no storage key with AES-CFB")

    def read_rsa(self, reader):
        self.read_cipher(reader)
        reader.u16()
        exponent = reader.u32() or 65537
        return rsa.RSAPublicNumbers(exponent, int.from_bytes(reader.tpm2b(), "big")).public_key()

    def read_ecc(self, reader):
        self.read_cipher(reader)
        curve = CURVES.get(reader.u16())
        if curve is None or reader.u16() != NULL:
            raise ValueError("an unknown curve or KDF")
        x, y = reader.tpm2b(), reader.tpm2b()
        return ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve).public_key()

    def read_other(self, reader):
        raise ValueError("neither RSA nor ECC")


def digest(algorithm, octets):
    return hashlib.new(algorithm.name, octets).digest()


def kdfa(algorithm, key, label, context, bits):
    """Part 1, 11.4.10.2: SP 800-108 in counter mode. The zero octet that ends the label is the one that SP 800-108 has behind it."""
    kdf = KBKDFHMAC(algorithm, Mode.CounterMode, bits // 8, 4, 4, CounterLocation.BeforeFixed, label, context, None)
    return kdf.derive(key)


def kdfe(algorithm, secret, label, ephemeral_x, public_x):
    """Part 1, 11.4.10.3: SP 800-56A's concatenation; the label's zero octet belongs to it."""
    return ConcatKDFHash(algorithm, algorithm.digest_size, label + b"\0" + ephemeral_x + public_x).derive(secret)


def cfb(key, clear):
    encryptor = Cipher(algorithms.AES(key), modes.CFB(bytes(16))).encryptor()
    return encryptor.update(clear) + encryptor.finalize()


def share_seed(parent, label):
    """A fresh seed and its TPM2B_ENCRYPTED_SECRET's content, which only PARENT can open."""
    if isinstance(parent.key, rsa.RSAPublicKey):
        seed = os.urandom(parent.hash.digest_size)
        oaep = padding.OAEP(padding.MGF1(parent.hash), parent.hash, label + b"\0")
        return seed, parent.key.encrypt(seed, oaep)
    size = (parent.key.curve.key_size + 7) // 8
    ephemeral = ec.generate_private_key(parent.key.curve)
    point = ephemeral.public_key().public_numbers()
    x, y = point.x.to_bytes(size, "big"), point.y.to_bytes(size, "big")
    shared = ephemeral.exchange(ec.ECDH(), parent.key)
    seed = kdfe(parent.hash, shared, label, x, parent.key.public_numbers().x.to_bytes(size, "big"))
    return seed, tpm2b(x) + tpm2b(y)


def protect(parent, label, name, clear):
    """CLEAR below PARENT, bound to NAME: the protected octets, and the secret that opens them."""
    seed, secret = share_seed(parent, label)
    body = cfb(kdfa(parent.hash, seed, b"STORAGE", name, parent.cipher_bits), clear)
    integrity_key = kdfa(parent.hash, seed, b"INTEGRITY", b"", parent.hash.digest_size * 8)
    integrity = hmac.new(integrity_key, body + name, parent.hash.name).digest()
    return tpm2b(integrity) + body, secret


def make_credential(parent, name, secret):
    """TPM2_MakeCredential: TPM2B_ID_OBJECT's content, TPM2B_ENCRYPTED_SECRET's content."""
    return protect(parent, b"IDENTITY", name, tpm2b(secret))


def hmac_key(key):
    """The public area (TPMT_PUBLIC) and the sensitive area (TPM2B_SENSITIVE) of a key for HMAC with SHA-256."""
    obfuscation = os.urandom(32)
    unique = hashlib.sha256(obfuscation + key).digest()
    sign_user_noda = 0x00040440
    public = struct.pack(">HHI", KEYEDHASH, SHA256, sign_user_noda) + tpm2b(POLICY_DUPLICATE)
    public += struct.pack(">HH", HMAC, SHA256) + tpm2b(unique)
    return public, tpm2b(struct.pack(">H", KEYEDHASH) + tpm2b(b"") + tpm2b(obfuscation) + tpm2b(key))


def duplicate(parent, public, sensitive, inner_key):
    """TPM2_Duplicate with an inner and an outer wrap: TPM2B_PRIVATE's content, the content of inSymSeed."""
    name = struct.pack(">H", SHA256) + hashlib.sha256(public).digest()
    inner = cfb(inner_key, tpm2b(hashlib.sha256(sensitive + name).digest()) + sensitive)
    return protect(parent, b"DUPLICATE", name, inner)
