"""HTTPS around the service: threads, a client's certificate that is asked for and not judged, and answers that are cut on the way.

The TLS is pyOpenSSL's, because Python's own ends a handshake whose certificate does not verify, and DPS answers it.
"""
import http.server
import io
import json
import socketserver
import threading
import time
from email.utils import formatdate
from urllib.parse import parse_qsl, unquote, urlsplit

from OpenSSL import SSL

from service import Request


class Octets(io.RawIOBase):
    """What comes from a TLS connection, as a file."""

    def __init__(self, connection):
        self.connection = connection

    def readable(self):
        return True

    def readinto(self, buffer):
        try:
            return self.connection.recv_into(buffer)
        except SSL.Error:
            return 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def setup(self):
        self.request.settimeout(self.timeout)
        self.connection = SSL.Connection(self.server.tls, self.request)
        self.connection.set_accept_state()
        self.rfile = io.BufferedReader(Octets(self.connection))
        self.wfile = io.BytesIO()

    def handle(self):
        self.request.settimeout(None)
        try:
            self.connection.do_handshake()
            super().handle()
            self.connection.shutdown()
        except (SSL.Error, OSError):
            pass

    def finish(self):
        pass

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.serve()

    def do_PUT(self):
        self.serve()

    def do_POST(self):
        self.serve()

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        leaf, issuers = self.connection.get_peer_certificate(), self.connection.get_peer_cert_chain()
        chain = [one.to_cryptography() for one in [leaf, *(issuers or [])] if one]
        address = urlsplit(self.path)
        path = "/".join(unquote(part) for part in address.path.split("/"))
        request = Request(self.command, path, dict(parse_qsl(address.query)), self.headers, body, chain)
        answer = self.server.service.answer(request)
        time.sleep(request.delay_s)
        self.server.write_log(request, answer, self.client_address)
        self.deliver(request, answer)

    def deliver(self, request, answer):
        """The answer, as far as its delivery lets it come."""
        body = chunks(answer)
        size = 1 if answer.delivery == "slow" else len(body) or 1
        if answer.delivery == "cut":
            body = body[: len(body) // 2]
        if answer.delivery != "reset":
            self.connection.sendall(head(request, answer))
            for at in range(0, len(body), size):
                self.connection.sendall(body[at : at + size])
                time.sleep(0.2 if answer.delivery == "slow" else 0)
        if answer.delivery in ("cut", "reset"):
            self.close_connection = True
            self.request.close()


def head(request, answer):
    lines = ["HTTP/1.1 %d %s" % (answer.status, http.server.BaseHTTPRequestHandler.responses.get(answer.status, ("",))[0])]
    lines.append("Date: " + formatdate(request.now_s, usegmt=True))
    lines += ["%s: %s" % header for header in answer.headers.items()]
    if answer.status != 204:
        lines.append("Transfer-Encoding: chunked")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def chunks(answer):
    octets = answer.octets()
    if answer.status == 204:
        return b""
    return (b"%x\r\n%s\r\n" % (len(octets), octets) if octets else b"") + b"0\r\n\r\n"


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address, service, certificate, key, log_path):
        super().__init__(address, Handler)
        self.service, self.log_path, self.log_lock = service, log_path, threading.Lock()
        self.tls = SSL.Context(SSL.TLS_SERVER_METHOD)
        self.tls.set_min_proto_version(SSL.TLS1_2_VERSION)
        self.tls.use_certificate_chain_file(certificate)
        self.tls.use_privatekey_file(key)
        self.tls.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        self.tls.set_options(SSL.OP_NO_TICKET)
        self.tls.set_verify(SSL.VERIFY_PEER, lambda *_: True)

    def write_log(self, request, answer, client):
        """A line of JSON for each request, with nothing secret."""
        line = {
            "time": round(time.time(), 3),
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "status": answer.status,
            "connection": client[1],
            "client": request.chain[0].subject.rfc4514_string() if request.chain else None,
            "chain": len(request.chain),
            "authorization": "Authorization" in request.headers,
            "agent": request.headers.get("User-Agent"),
            **request.log,
        }
        with self.log_lock, open(self.log_path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
