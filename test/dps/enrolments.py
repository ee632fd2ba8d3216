"""Who may register: a file, read again for each request.

    set                       NAME=VALUE...      for all registrations, unless their own line says otherwise
    tpm    REGISTRATION EK    [NAME=VALUE...]    EK: its TPM2B_PUBLIC in base64
    x509   REGISTRATION CERT  [NAME=VALUE...]    CERT: a PEM file, or a thumbprint in hexadecimal (SHA-1 or SHA-256)
    group  NAME         CA    [NAME=VALUE...]    CA: a PEM file; the registration is the certificate's common name

    hub, device      what is assigned
    status           what the registration ends with, in place of assigned: failed, disabled, unassigned
    assigning=N      so many polls are told to come again
    retry_after=S    is told to whoever has to come again; no such header when empty
    polls=N          so many are answered in 10 s, the others get 429
    delay=S          before each answer
    clock=S          the server's clock is ahead by that
    crl=FILE         certificates that are revoked, PEM
    fault=NAME       see faults.py; NAME:2 the first two times, NAME@poll in answers to polls, A,B both
"""
import base64
import shlex

DEFAULTS = {
    "hub": "double.azure-devices.net",
    "device": "",
    "status": "assigned",
    "assigning": "0",
    "retry_after": "1",
    "polls": "5",
    "delay": "0",
    "clock": "0",
    "crl": "",
    "fault": "",
}
KINDS = {"set": 0, "tpm": 2, "x509": 2, "group": 2}


class Enrolment:
    def __init__(self, kind, name, proof, settings):
        self.kind, self.name, self.proof, self.settings = kind, name, proof, settings

    def __getattr__(self, name):
        try:
            return self.settings[name]
        except KeyError:
            raise AttributeError(name) from None

    def endorsement_key(self):
        return base64.b64decode(self.proof)


def settings_of(words):
    settings = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in DEFAULTS:
            raise ValueError("no setting of an enrolment: " + word)
        settings[name] = value
    return settings


class Enrolments:
    """The file as it stands, below settings of the command line."""

    def __init__(self, path, settings):
        self.defaults = {**DEFAULTS, **settings_of(settings)}
        self.list = []
        if path:
            with open(path, encoding="utf-8") as file:
                for line in file:
                    self.read(shlex.split(line, comments=True))

    def read(self, words):
        if not words:
            return
        if words[0] not in KINDS or len(words) <= KINDS[words[0]]:
            raise ValueError("no enrolment: " + " ".join(words))
        named = 1 + KINDS[words[0]]
        settings = settings_of(words[named:])
        if words[0] == "set":
            self.defaults.update(settings)
        else:
            self.list.append(Enrolment(words[0], words[1], words[2], settings))

    def whole(self, enrolment):
        return Enrolment(enrolment.kind, enrolment.name, enrolment.proof, {**self.defaults, **enrolment.settings})

    def individual(self, registration):
        """Registration ids know no upper case."""
        for enrolment in self.list:
            if enrolment.kind != "group" and enrolment.name.lower() == registration.lower():
                return self.whole(enrolment)
        return None

    def groups(self):
        return [self.whole(enrolment) for enrolment in self.list if enrolment.kind == "group"]
