"""The challenge of DPS: an HMAC key that only the TPM of this EK can import, and only below this SRK.

Six fields, one behind the other: the credential and its secret (both for the EK), the duplicate and its seed (both for the SRK),
the key's public area, and data that no client uses.
"""
import base64
import os

import tpm

CREDENTIAL, CREDENTIAL_SECRET, DUPLICATE, SEED, PUBLIC, DATA = range(6)


class Challenge:
    def __init__(self, ek, srk, key):
        self.ek, self.srk, self.key = ek, srk, key
        self.change = bytes
        self.make()

    def make(self, inner_size=16):
        inner_key = os.urandom(inner_size)
        public, sensitive = tpm.hmac_key(self.key)
        self.fields = [
            *tpm.make_credential(self.ek, self.srk.name, inner_key),
            *tpm.duplicate(self.srk, public, sensitive, inner_key),
            public,
            b"",
        ]

    def blob(self):
        return base64.b64encode(self.change(b"".join(tpm.tpm2b(field) for field in self.fields))).decode()
