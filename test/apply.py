#!/usr/bin/env python3
"""apply.py ROOT: a stand-in for `iotedge config apply`: of ROOT/etc/aziot/config.toml it makes 00-super.toml of each service.

Made after the sources of aziot-identity-service 1.6 and aziot-edge 1.5: which id each certificate and key gets, and who renews it.
As they do, it writes each sign of a PKCS#11 URI's values that is no letter or digit as %XX. Users and what has no certificate or
key in it are left out.
"""
import json
import pathlib
import re
import sys
import tomllib

DEVICE, EDGE_CA, EST, BOOTSTRAP = "device-id", "aziot-edged-ca", "est-id", "est-bootstrap-id"


def location(uri):
    if not uri.startswith("pkcs11:"):
        return uri
    path, mark, query = uri.removeprefix("pkcs11:").partition("?")

    def written(part):
        name, _, value = part.partition("=")
        return name + "=" + re.sub("[^A-Za-z0-9]", lambda sign: f"%{ord(sign[0]):02X}", value)

    return "pkcs11:" + ";".join(map(written, path.split(";"))) + mark + query


class Services:
    def __init__(self):
        self.keys, self.certs, self.issued = {}, {}, {}

    def preload(self, name, cert, pk):
        self.certs[name], self.keys[name] = cert, pk

    def est_auth(self, auth, cert_id):
        """What certd shows an EST server. CERT_ID: "" for all certificates, else behind the ids."""
        names = {name: auth[name] for name in ("username", "password") if name in auth}
        behind = "-" + cert_id if cert_id else ""
        if "bootstrap_identity_cert" in auth:
            self.preload(BOOTSTRAP + behind, auth["bootstrap_identity_cert"], location(auth["bootstrap_identity_pk"]))
            names |= {f"bootstrap_identity_{part}": BOOTSTRAP + behind for part in ("cert", "pk")}
        elif "identity_cert" in auth:
            self.preload(EST + behind, auth["identity_cert"], location(auth["identity_pk"]))
        else:
            return names
        return names | {f"identity_{part}": EST + behind for part in ("cert", "pk")}

    def issue(self, cert_id, options, subject):
        names = {name: options[name] for name in ("method", "url") if name in options}
        if subject:
            names |= {name: options[name] for name in ("common_name", "subject") if name in options}
        names |= self.est_auth(options, cert_id)
        self.issued[cert_id] = names
        if "auto_renew" in options:
            self.issued[cert_id + "-temp"] = names

    def certd(self, est):
        every = {"urls": est.get("urls", {})}
        every["trusted_certs"] = [f"est-server-ca-{i + 1}" for i in range(len(est.get("trusted_certs", [])))]
        self.certs |= dict(zip(every["trusted_certs"], est.get("trusted_certs", [])))
        if "identity_auto_renew" in est:
            every["identity_auto_renew"] = est["identity_auto_renew"]
        every |= self.est_auth(est.get("auth", {}), "")
        return {"homedir_path": "/var/lib/aziot/certd", "cert_issuance": {"est": every, **self.issued}, "preloaded_certs": self.certs}


def identityd(config, services):
    at = config["provisioning"]["attestation"]
    names = {"method": at["method"], "identity_cert": DEVICE, "identity_pk": DEVICE}
    if "registration_id" in at:
        names["registration_id"] = at["registration_id"]
    if "identity_pk" in at:
        services.preload(DEVICE, at["identity_cert"], location(at["identity_pk"]))
    else:
        services.issue(DEVICE, at["identity_cert"], True)
        if "auto_renew" in at["identity_cert"]:
            names["identity_auto_renew"] = at["identity_cert"]["auto_renew"]
    from_config = config["provisioning"]
    return {"hostname": config.get("hostname", "host"), "provisioning": {
        "source": from_config["source"], "global_endpoint": from_config["global_endpoint"],
        "scope_id": from_config["id_scope"], "attestation": names}}


def edged(config, services):
    edge_ca = config.get("edge_ca", {"auto_generated_edge_ca_expiry_days": 90})
    if "pk" in edge_ca:
        services.preload(EDGE_CA, edge_ca["cert"], edge_ca["pk"])  # as it stands: this one is any URL
        return {"edge_ca": {"cert": EDGE_CA, "key": EDGE_CA}}
    renewal = edge_ca.get("auto_renew", {"rotate_key": True, "threshold": "80%", "retry": "4%"})
    services.issue(EDGE_CA, {"method": "self_signed"} | edge_ca | {"auto_renew": renewal}, False)
    return {"edge_ca": {"cert": EDGE_CA, "key": EDGE_CA, "auto_renew": renewal}}


def toml(table, path=()):
    """A table's own values, then the tables in it."""
    lines = [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in table.items() if not isinstance(value, dict)]
    head = ["", "[" + ".".join(map(json.dumps, path)) + "]"] if path else []
    inner = [line for name, value in table.items() if isinstance(value, dict) for line in toml(value, (*path, name))]
    return head + lines + inner


def main():
    root = pathlib.Path(sys.argv[1]) / "etc/aziot"
    config = tomllib.loads((root / "config.toml").read_text())
    services = Services()
    made = {"identityd": identityd(config, services), "edged": edged(config, services)}
    made["certd"] = services.certd(config.get("cert_issuance", {}).get("est", {}))
    made["keyd"] = {"aziot_keys": config.get("aziot_keys", {}) | {"homedir_path": "/var/lib/aziot/keyd"}, "preloaded_keys": services.keys}
    for service, table in made.items():
        to = root / service / "config.d/00-super.toml"
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text("\n".join(toml(table)) + "\n")


main()
