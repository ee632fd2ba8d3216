"""What can be wrong with an answer, by name: `dps faults` prints the tables.

A fault of CHALLENGES changes the key that an answer brings (stage challenge; with @poll the hub's key), one of ANSWERS the answer
itself, at every stage or at the one behind @: challenge, register, poll.
"""
import json

from cryptography.hazmat.primitives.asymmetric import ec, rsa

import challenge as fields


def flip(field):
    def flip_last(challenge):
        octets = bytearray(challenge.fields[field])
        octets[-1] ^= 1
        challenge.fields[field] = bytes(octets)

    return flip_last


def stranger(public):
    """The key of another TPM where PUBLIC's should be."""
    if isinstance(public.key, rsa.RSAPublicKey):
        public.key = rsa.generate_private_key(65537, public.key.key_size).public_key()
    else:
        public.key = ec.generate_private_key(public.key.curve).public_key()


def wrong_ek(challenge):
    stranger(challenge.ek)
    challenge.make()


def wrong_srk(challenge):
    stranger(challenge.srk)
    challenge.make()


def inner_256(challenge):
    challenge.make(32)


def no_data(challenge):
    del challenge.fields[fields.DATA]


def trailing(challenge):
    challenge.fields.append(b"and more")


def halved(challenge):
    challenge.change = lambda octets: octets[: len(octets) // 2]


CHALLENGES = {
    "credential": (flip(fields.CREDENTIAL), "a bit of the credential is wrong"),
    "duplicate": (flip(fields.DUPLICATE), "a bit of the key's duplicate is wrong"),
    "public": (flip(fields.PUBLIC), "a bit of the key's public area is wrong"),
    "wrong-ek": (wrong_ek, "the challenge is for another EK"),
    "wrong-srk": (wrong_srk, "the key is for another SRK"),
    "halved-key": (halved, "the key ends in the middle"),
    "no-data": (no_data, "the sixth field is absent, which is no reason to fail"),
    "trailing": (trailing, "there is a seventh field, which is no reason to fail"),
    "inner-256": (inner_256, "the inner key has 256 bits, which is no reason to fail"),
}


def error(status, code, message, **headers):
    def become(answer):
        answer.become_error(status, code, message)
        answer.headers.update({name.replace("_", "-"): value for name, value in headers.items()})

    return become


def without(*names):
    """The member is absent, wherever it would stand."""

    def drop(answer):
        for part in (answer.body, answer.body.get("registrationState", {})):
            for name in names:
                part.pop(name, None)

    return drop


def put(name, value):
    def replace(answer):
        if name in answer.body:
            answer.body[name] = value

    return replace


def raw(octets, content_type="application/json; charset=utf-8"):
    def replace(answer):
        answer.raw = octets
        answer.headers["Content-Type"] = content_type

    return replace


def delivered(how):
    def set_delivery(answer):
        answer.delivery = how

    return set_delivery


def gateway(answer):
    answer.status = 502
    raw(b"<html><body>Bad Gateway</body></html>\n", "text/html")(answer)


def large_busy(answer):
    answer.status = 503
    answer.headers["Retry-After"] = "86400"
    raw(b" " * (1 << 20), "text/html")(answer)


def plain(answer):
    raw(json.dumps(answer.body).encode(), "text/plain")(answer)


def redirect(answer):
    answer.status = 307
    answer.headers["Location"] = "https://elsewhere.invalid/"


THROTTLED = "Operations are being throttled for this tenant."
ANSWERS = {
    "500": (error(500, 500001, "Internal server error."), "HTTP 500"),
    "503": (error(503, 503001, "Service unavailable.", Retry_After="1"), "HTTP 503 with Retry-After"),
    "throttle": (error(429, 429001, THROTTLED, Retry_After="1"), "HTTP 429 with Retry-After"),
    "throttle-long": (error(429, 429001, THROTTLED, Retry_After="86400"), "HTTP 429, for a day"),
    "gateway": (gateway, "HTTP 502 with a page of a proxy"),
    "redirect": (redirect, "HTTP 307 to another host"),
    "lost": (error(404, 404202, "Operation not found."), "HTTP 404"),
    "unauthorized": (error(401, 401002, "Unauthorized"), "HTTP 401 without a challenge"),
    "cut": (delivered("cut"), "the answer ends in the middle"),
    "reset": (delivered("reset"), "the connection ends without an answer"),
    "slow": (delivered("slow"), "the answer comes by one octet each 0.2 s"),
    "type": (plain, "Content-Type is text/plain"),
    "no-json": (raw(b"{"), "the body is no JSON"),
    "array": (raw(b"[]"), "the body is no JSON object"),
    "large": (raw(b" " * (16 << 20)), "the body has 16 MiB"),
    "large-busy": (large_busy, "HTTP 503 for a day, and the body has 1 MiB"),
    "no-operation": (without("operationId"), "operationId is absent"),
    "bad-operation": (put("operationId", "../../x?y=1&z"), "operationId leads elsewhere"),
    "no-key": (without("authenticationKey", "tpm"), "the key is absent"),
    "no-key-name": (without("keyName"), "keyName is absent"),
    "key-text": (put("authenticationKey", "no base64!"), "the key is not base64"),
    "no-hub": (without("assignedHub"), "assignedHub is absent"),
    "no-state": (without("registrationState"), "registrationState is absent"),
    "status": (put("status", "pondering"), "the status is a word that nobody knows"),
    "no-retry-after": (lambda answer: answer.headers.pop("Retry-After", None), "there is no Retry-After"),
}


def parse(word):
    """NAME, how often, and the stage where it happens."""
    word, _, stage = word.partition("@")
    name, _, times = word.partition(":")
    if name not in CHALLENGES and name not in ANSWERS:
        raise ValueError("no fault: " + name)
    return name, int(times) if times else None, stage or ("challenge" if name in CHALLENGES else None)


class Faults:
    """How often each fault of a registration has happened."""

    def __init__(self):
        self.counts = {}

    def happen(self, table, enrolment, registration, stage, what):
        """Does to WHAT what is set for ENROLMENT, and names it."""
        names = []
        for word in filter(None, enrolment.fault.split(",")):
            name, times, at = parse(word)
            count = self.counts.get((registration, word), 0)
            if name not in table or at not in (None, stage) or (times is not None and count >= times):
                continue
            self.counts[registration, word] = count + 1
            table[name][0](what)
            names.append(name)
        return names
