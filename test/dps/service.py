"""What DPS answers to a device: a request in, an answer out; no sockets. A device's hub is played as well, so far that a token
signed with the key it was given can be shown to somebody.
"""
import base64
import datetime
import json
import os
import re
import secrets
import threading
import time
import uuid

import clients
import faults
import tokens
import tpm
from challenge import Challenge
from enrolments import Enrolments

API_VERSIONS = ("2019-03-31", "2021-06-01")
CHALLENGED = "Authorization required, resend request using supplied key"
EK_REFUSED = "Endorsement key is invalid, or does not match the Enrollment."
ROUTES = (
    ("PUT", r"/([^/]+)/registrations/([^/]+)/register", "register"),
    ("GET", r"/([^/]+)/registrations/([^/]+)/operations/([^/]+)", "poll"),
    ("POST", r"/([^/]+)/registrations/([^/]+)", "lookup"),
    ("POST", r"/devices/([^/]+)/messages/events", "telemetry"),
)
WINDOW_S = 10


def utc(now_s):
    return datetime.datetime.fromtimestamp(now_s, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


class Refusal(Exception):
    """An error of the service: what it says, and why it really is."""

    def __init__(self, status, code, message, why):
        super().__init__(message)
        self.status, self.code, self.message, self.why = status, code, message, why


class Request:
    """What was asked; with it goes what is to be logged, the time by the server's clock, and how long it thinks."""

    def __init__(self, method, path, query, headers, body, chain):
        self.method, self.path, self.query = method, path, query
        self.headers, self.body, self.chain = headers, body, chain
        self.log, self.now_s, self.delay_s = {"stage": "refused"}, time.time(), 0

    def json(self):
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Refusal(400, 400001, "Bad request.", "the body is no JSON object")
        return value


class Answer:
    def __init__(self, status, body, **headers):
        self.status, self.body, self.raw, self.delivery = status, body, None, "whole"
        self.headers = {"Content-Type": "application/json; charset=utf-8", "x-ms-request-id": str(uuid.uuid4())}
        self.headers.update(headers)

    def become_error(self, status, code, message):
        self.status = status
        self.headers.pop("Retry-After", None)
        self.body = {"errorCode": code, "trackingId": self.headers["x-ms-request-id"], "message": message}
        self.body["timestampUtc"] = utc(time.time())

    def octets(self):
        if self.raw is not None:
            return self.raw
        return b"" if self.body is None else json.dumps(self.body).encode()


class Device:
    """What DPS knows about a registration that has spoken to it."""

    def __init__(self):
        self.ek = self.srk = self.key = self.hub_key = self.result = None
        self.polls = []


class Operation:
    def __init__(self, registration, assigning):
        self.registration, self.assigning, self.result = registration, assigning, None


class Service:
    def __init__(self, scope, enrolments_path, settings, keys_directory):
        self.scope, self.path, self.settings, self.keys_directory = scope, enrolments_path, settings, keys_directory
        self.enrolments = Enrolments(enrolments_path, settings)
        self.devices, self.operations, self.faults = {}, {}, faults.Faults()
        self.lock = threading.Lock()

    def answer(self, request):
        with self.lock:
            self.enrolments = Enrolments(self.path, self.settings)
            try:
                return self.route(request)
            except Refusal as refusal:
                answer = Answer(refusal.status, None)
                answer.become_error(refusal.status, refusal.code, refusal.message)
                request.log.update(error=refusal.code, why=refusal.why)
                return answer

    def route(self, request):
        for method, pattern, name in ROUTES:
            match = re.fullmatch(pattern, request.path)
            if match and method == request.method:
                return getattr(self, name)(request, *match.groups())
        raise Refusal(404, 404001, "Not found.", "no such address")

    # ---- who it is

    def admit(self, request, scope, registration):
        """The enrolment of a request to DPS, and its device."""
        request.log.update(registration=registration)
        version = request.query.get("api-version")
        if version not in API_VERSIONS:
            raise Refusal(400, 400002, "The api-version is not supported.", "api-version: %s" % version)
        if scope.lower() != self.scope.lower():
            raise Refusal(404, 404002, "Resource not found.", "the scope is not " + self.scope)
        enrolment = self.find(request, registration)
        request.now_s += float(enrolment.clock)
        request.delay_s = float(enrolment.delay)
        return enrolment, self.devices.setdefault(registration.lower(), Device())

    def find(self, request, registration):
        """An individual enrolment goes before groups, as with DPS; a certificate has been judged then."""
        enrolment = self.enrolments.individual(registration)
        groups = [enrolment] if enrolment else self.enrolments.groups()
        if enrolment and enrolment.kind == "tpm":
            return enrolment
        if not groups or not (request.chain or enrolment):
            raise Refusal(404, 404201, "Enrollment not found.", "nothing is enrolled as " + registration)
        for group in groups:
            refusal = clients.refusal(request.chain, group, registration, request.now_s + float(group.clock))
            if refusal is None:
                return group
        raise Refusal(401, 401002, *refusal)

    def check_token(self, request, key, resource):
        token = tokens.read(request.headers.get("Authorization", ""))
        why = "there is no shared access signature"
        if token is not None:
            why = tokens.refusal(token, key, resource, request.now_s)
        if why:
            raise Refusal(401, 401002, "Unauthorized", why)
        request.log["token"] = {name: token.get(name) for name in ("sr", "se", "skn")}
        return token

    def check_registration_token(self, request, device, scope, registration):
        token = self.check_token(request, device.key, "%s/registrations/%s" % (scope, registration))
        if token.get("skn") != "registration":
            raise Refusal(401, 401002, "Unauthorized", "skn is not registration")

    # ---- registering

    def register(self, request, scope, registration):
        enrolment, device = self.admit(request, scope, registration)
        body = request.json()
        if str(body.get("registrationId")).lower() != registration.lower():
            raise Refusal(400, 400003, "Bad request.", "the body has another registrationId than the address")
        if enrolment.kind == "tpm":
            self.check_endorsement(enrolment, device, body.get("tpm"))
            if "Authorization" not in request.headers:
                return self.challenge(request, enrolment, device)
            self.check_registration_token(request, device, scope, registration)
        operation = "4.%s.%s" % (secrets.token_hex(8), uuid.uuid4())
        self.operations[operation] = Operation(registration, int(enrolment.assigning))
        body = {"operationId": operation, "status": "assigning"}
        return self.finished("register", request, enrolment, Answer(202, body, **again(enrolment)))

    def check_endorsement(self, enrolment, device, offered):
        """The body of the second request may have no keys: then those of the first are meant."""
        if offered is None and device.ek is not None:
            return
        try:
            ek, srk = (base64.b64decode(offered[name], validate=True) for name in ("endorsementKey", "storageRootKey"))
            tpm.Public(ek), tpm.Public(srk)
        except (TypeError, KeyError, ValueError) as error:
            raise Refusal(400, 400004, EK_REFUSED, "no keys of a TPM: %s" % error) from None
        if ek != enrolment.endorsement_key():
            raise Refusal(400, 400004, EK_REFUSED, "another EK is enrolled")
        device.ek, device.srk = ek, srk

    def new_key(self, stage, request, enrolment, device):
        """A fresh key and its challenge, after the faults that are set."""
        key, registration = os.urandom(32), request.log["registration"]
        challenge = Challenge(tpm.Public(device.ek), tpm.Public(device.srk), key)
        request.log["fault"] = self.faults.happen(faults.CHALLENGES, enrolment, registration, stage, challenge)
        if self.keys_directory:
            name = "hub" if stage == "poll" else "registration"
            with open(os.path.join(self.keys_directory, "%s.%s" % (registration, name)), "w", encoding="ascii") as file:
                file.write(key.hex() + "\n")
        return key, challenge.blob()

    def challenge(self, request, enrolment, device):
        device.key, blob = self.new_key("challenge", request, enrolment, device)
        body = {"message": CHALLENGED, "authenticationKey": blob, "keyName": "registration"}
        return self.finished("challenge", request, enrolment, Answer(401, body))

    def poll(self, request, scope, registration, operation_id):
        enrolment, device = self.admit(request, scope, registration)
        if enrolment.kind == "tpm":
            self.check_registration_token(request, device, scope, registration)
        self.throttle(enrolment, device)
        operation = self.operations.get(operation_id)
        if operation is None or operation.registration.lower() != registration.lower():
            raise Refusal(404, 404202, "Operation not found.", "no such operation of this device")
        if operation.assigning > 0:
            operation.assigning -= 1
            state = {"registrationId": registration, "status": "assigning"}
            body = {"operationId": operation_id, "status": "assigning", "registrationState": state}
            return self.finished("poll", request, enrolment, Answer(202, body, **again(enrolment)))
        if operation.result is None:
            operation.result = device.result = self.result(request, enrolment, device, registration)
        body = {"operationId": operation_id, "status": enrolment.status, "registrationState": dict(operation.result)}
        return self.finished("poll", request, enrolment, Answer(200, body))

    def throttle(self, enrolment, device):
        device.polls = [at for at in device.polls if at > time.time() - WINDOW_S] + [time.time()]
        if len(device.polls) > int(enrolment.polls):
            why = "%d polls in %d s" % (len(device.polls), WINDOW_S)
            raise Refusal(429, 429001, faults.THROTTLED, why)

    def result(self, request, enrolment, device, registration):
        now = utc(request.now_s)
        state = {"registrationId": registration, "createdDateTimeUtc": now, "status": enrolment.status}
        state.update(lastUpdatedDateTimeUtc=now, etag=str(uuid.uuid4()))
        if enrolment.status == "failed":
            state.update(errorCode=400209, errorMessage="IoTHub unauthorized.")
        if enrolment.status != "assigned":
            return state
        state.update(assignedHub=enrolment.hub, deviceId=enrolment.device or registration, substatus="initialAssignment")
        if enrolment.kind == "tpm":
            device.hub_key, blob = self.new_key("poll", request, enrolment, device)
            state["tpm"] = {"authenticationKey": blob}
        else:
            state["x509"] = clients.information(enrolment, request.chain)
        return state

    def finished(self, stage, request, enrolment, answer):
        """Does to ANSWER what is set."""
        log = request.log
        happened = self.faults.happen(faults.ANSWERS, enrolment, log["registration"], stage, answer)
        log.update(stage=stage, fault=log.get("fault", []) + happened)
        return answer

    def lookup(self, request, scope, registration):
        enrolment, device = self.admit(request, scope, registration)
        if enrolment.kind == "tpm":
            self.check_registration_token(request, device, scope, registration)
        if device.result is None:
            raise Refusal(404, 404203, "Registration not found.", "it has not registered")
        return self.finished("lookup", request, enrolment, Answer(200, device.result))

    # ---- the hub

    def telemetry(self, request, device_id):
        request.log.update(stage="telemetry", registration=device_id)
        for name, device in self.devices.items():
            enrolment = self.enrolments.individual(name)
            if device.hub_key and enrolment and (enrolment.device or name).lower() == device_id.lower():
                self.check_token(request, device.hub_key, "%s/devices/%s" % (enrolment.hub, device_id))
                return Answer(204, None)
        raise Refusal(401, 401003, "Unauthorized", "no device of that name has a key")


def again(enrolment):
    return {"Retry-After": enrolment.retry_after} if enrolment.retry_after else {}
