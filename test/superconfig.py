#!/usr/bin/env python3
"""superconfig.py FILE: says what is wrong with a config.toml of IoT Edge, one line each; exits with 1 when something is.

What `iotedge config apply` takes, as tables: aziot-identity-service 1.6 (aziotctl-common, aziot-certd-config, cert-renewal,
aziot-keys-common) and aziot-edge 1.5 (iotedge). Those programs pass over names that they do not know, and take an incomplete
pair of certificate and key for none; both are mistakes here. Tables that say nothing of certificates and keys are not looked into.
"""
import re
import sys
from urllib.parse import urlsplit

try:
    import tomllib
except ImportError:
    print("superconfig.py: python has no tomllib", file=sys.stderr)
    sys.exit(77)


# ---- values: each gives what is wrong, or None ----


def text(value):
    return None if isinstance(value, str) and value else "is no string, or an empty one"


def boolean(value):
    return None if isinstance(value, bool) else "is neither true nor false"


def number(value):
    return None if isinstance(value, int) and not isinstance(value, bool) and value > 0 else "is no number above 0"


def one_of(*words):
    return lambda value: None if value in words else "is none of " + ", ".join(words)


def url(*schemes):
    def check(value):
        if not isinstance(value, str):
            return "is no string"
        parts = urlsplit(value)
        if parts.scheme not in schemes:
            return f"is no URL of {', '.join(schemes)}"
        if parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/")):
            return "is a file:// URL that is no absolute path"
        return "names no host" if parts.scheme == "https" and not parts.hostname else None

    return check


CERT = url("file")
EST = url("https", "http")


def key(value):
    """Where a key is: file:// and a path, or pkcs11: with a token or slot, and no other scheme."""
    if isinstance(value, str) and value.startswith("pkcs11:"):
        named = dict(part.partition("=")[::2] for part in value[7:].partition("?")[0].split(";"))
        ok = bool(named.get("token") or re.fullmatch("[0-9]+", named.get("slot-id", "")))
        return None if ok else "is a pkcs11: URI without token and slot-id"
    return url("file")(value)


def period(value):
    """A part of a lifetime, or a time before its end."""
    found = re.fullmatch("([0-9]+)(%|min|day)", value) if isinstance(value, str) else None
    if found is None or int(found[1]) <= 0 or (found[2] == "%" and int(found[1]) >= 100):
        return "is no period as 80%, 90min or 10day"
    return None


def certs(value):
    """A file, or ids of other certificates."""
    ids = isinstance(value, list) and all(isinstance(one, str) for one in value)
    return None if ids else CERT(value)


def anything(_value):
    return None


class Listed:
    def __init__(self, of):
        self.of = of


class Named:
    """A table whose names are free."""

    def __init__(self, of):
        self.of = of


class Table:
    """must, may: names and what they are. together: pairs that need each other. either: groups of which one is given."""

    def __init__(self, must=None, may=None, together=(), either=(), least=0):
        self.must, self.may = must or {}, may or {}
        self.together, self.either, self.least = together, either, least


class Choice:
    """What else a table has is by one of its values."""

    def __init__(self, by, tables):
        self.by, self.tables = by, tables


class Form:
    """The first of several whose mark is in the table; None marks the last."""

    def __init__(self, *forms):
        self.forms = forms


# ---- the grammar ----

RENEW = Table(must={"rotate_key": boolean, "threshold": period, "retry": period})
SUBJECT = {"common_name": text, "subject": Named(text)}
X509 = {"identity_cert": CERT, "identity_pk": key, "bootstrap_identity_cert": CERT, "bootstrap_identity_pk": key}
PAIRS = (("identity_cert", "identity_pk"), ("bootstrap_identity_cert", "bootstrap_identity_pk"), ("username", "password"))
WHO = (("identity_cert", "bootstrap_identity_cert"),)  # certd has one or the other, never both
AUTH = {"username": text, "password": text, **X509}
ISSUED = {**SUBJECT, "expiry_days": number, "auto_renew": RENEW}
ISSUE = Choice(
    "method",
    {
        "est": Table(may={**ISSUED, "url": EST, **AUTH}, together=PAIRS, either=WHO + (("common_name", "subject"),)),
        "local_ca": Table(may=ISSUED, either=(("common_name", "subject"),)),
        "self_signed": Table(may=ISSUED, either=(("common_name", "subject"),)),
    },
)
SYMMETRIC = Table(may={"value": text, "uri": key}, either=(("value", "uri"),), least=1)


def x509(**others):
    """A certificate that is there, with its key; or one that is issued, whose key the services make."""
    there = Table(must={"identity_cert": CERT, "identity_pk": key}, may=others)
    return Form(("identity_pk", there), (None, Table(must={"identity_cert": ISSUE}, may=others)))


ATTESTATION = Choice(
    "method",
    {
        "symmetric_key": Table(must={"registration_id": text, "symmetric_key": SYMMETRIC}),
        "x509": x509(registration_id=text),
        "tpm": Table(must={"registration_id": text}),
    },
)
AUTHENTICATION = Choice("method", {"sas": Table(must={"device_id_pk": SYMMETRIC}), "x509": x509()})
PROVISIONING = Choice(
    "source",
    {
        "manual": Form(
            ("connection_string", Table(must={"connection_string": text})),
            (None, Table(must={"iothub_hostname": text, "device_id": text, "authentication": AUTHENTICATION})),
        ),
        "dps": Table(
            must={"global_endpoint": url("https"), "id_scope": text, "attestation": ATTESTATION},
            may={"payload": Table(must={"uri": CERT})},
        ),
        "none": Table(),
    },
)
LOCAL_CA = Form(("pk", Table(must={"cert": CERT, "pk": key})), (None, Table(must={"cert": ISSUE})))
EDGE_CA = Form(
    ("method", ISSUE),
    ("auto_generated_edge_ca_expiry_days",
     Table(must={"auto_generated_edge_ca_expiry_days": number}, may={"auto_renew": RENEW, **SUBJECT})),
    (None, Table(must={"cert": CERT, "pk": key})),
)
ROOT = Table(
    must={"provisioning": PROVISIONING},
    may={
        "hostname": text,
        "parent_hostname": text,
        "local_gateway_hostname": text,
        "trust_bundle_cert": CERT,
        "manifest_trust_bundle_cert": CERT,
        "additional_info": CERT,
        "auto_reprovisioning_mode": one_of("Dynamic", "AlwaysOnStartup", "OnErrorOnly"),
        "allow_elevated_docker_permissions": boolean,
        "imported_master_encryption_key": text,
        "prefer_module_identity_cache": boolean,
        "iotedge_max_requests": anything,
        "cloud_timeout_sec": number,
        "cloud_retries": number,
        "max_requests": number,
        "localid": anything,
        "aziot_keys": Named(text),
        "preloaded_keys": Named(key),
        "preloaded_certs": Named(certs),
        "cert_issuance": Table(
            may={
                "local_ca": LOCAL_CA,
                "est": Table(
                    may={
                        "trusted_certs": Listed(CERT),
                        "auth": Table(may=AUTH, together=PAIRS, either=WHO),
                        "identity_auto_renew": RENEW,
                        "urls": Named(EST),
                    }
                ),
            }
        ),
        "edge_ca": EDGE_CA,
        "tpm": anything,
        "agent": anything,
        "connect": anything,
        "listen": anything,
        "watchdog": anything,
        "moby_runtime": anything,
        "image_garbage_collection": anything,
    },
    either=(("parent_hostname", "local_gateway_hostname"),),
)


# ---- holding a file against it ----


def table_faults(rule, value, path, beside):
    for name, of in value.items():
        here = f"{path}.{name}" if path else name
        if name in rule.must or name in rule.may:
            yield from faults(rule.must.get(name) or rule.may[name], of, here)
        elif name not in beside:
            yield f"{here}: there is no such name"
    for name in rule.must:
        if name not in value:
            yield f"{path}: {name} is missing"
    for names in rule.together:
        if len([name for name in names if name in value]) == 1:
            yield f"{path}: of {' and '.join(names)} one is missing"
    for names in rule.either:
        given = [name for name in names if name in value]
        if len(given) > 1:
            yield f"{path}: {' and '.join(given)} exclude each other"
        if len(given) < rule.least:
            yield f"{path}: one of {', '.join(names)} is missing"


def faults(rule, value, path="", beside=()):
    """beside: names that an outer choice has accounted for."""
    if isinstance(rule, Listed):
        for i, of in enumerate(value if isinstance(value, list) else ()):
            yield from faults(rule.of, of, f"{path}[{i}]")
        if not isinstance(value, list):
            yield f"{path} is no list"
    elif not isinstance(rule, (Form, Named, Table, Choice)):
        wrong = rule(value)
        if wrong:
            yield f"{path} {wrong}"
    elif not isinstance(value, dict):
        yield f"{path} is no table"
    elif isinstance(rule, Form):
        chosen = next(form for mark, form in rule.forms if mark is None or mark in value)
        yield from faults(chosen, value, path, beside)
    elif isinstance(rule, Named):
        for name, of in value.items():
            yield from faults(rule.of, of, f"{path}.{name}")
    elif isinstance(rule, Choice):
        if value.get(rule.by) in rule.tables:
            yield from faults(rule.tables[value[rule.by]], value, path, beside + (rule.by,))
        else:
            yield f"{path}: {rule.by} is none of {', '.join(rule.tables)}"
    else:
        yield from table_faults(rule, value, path, beside)


def later_faults(config):
    """What apply itself refuses, or makes what cannot work of."""
    dps = config.get("provisioning", {}).get("source") == "dps"
    if dps and ("parent_hostname" in config or "local_gateway_hostname" in config):
        yield "parent_hostname: a device below another does not ask the Device Provisioning Service"
    est = config.get("cert_issuance", {}).get("est", {})
    device = config.get("provisioning", {}).get("attestation", {}).get("identity_cert")
    for path, of in (("provisioning.attestation.identity_cert", device), ("edge_ca", config.get("edge_ca"))):
        if isinstance(of, dict) and of.get("method") == "est" and "url" not in of and "default" not in est.get("urls", {}):
            yield f"{path}: no URL, and cert_issuance.est.urls has no default"
    if "bootstrap_identity_cert" not in est.get("auth", {}) and "identity_cert" in est.get("auth", {}):
        if est.get("identity_auto_renew", {}).get("rotate_key", True):
            yield "cert_issuance.est: certd may not make a second key beside an identity that is given: rotate_key"


def main():
    with open(sys.argv[1], "rb") as file:
        try:
            config = tomllib.load(file)
        except tomllib.TOMLDecodeError as why:
            print(why)
            return 1
    found = list(faults(ROOT, config))
    found = found or list(later_faults(config))
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
