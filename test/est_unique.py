#!/usr/bin/python3
"""An EST server that shares nothing with estd or estca: TLS 1.2 by Python, requests read by openssl's command line.

    est_unique.py CA-DIRECTORY ESTCA PORT-FILE LOG

A request must carry the tls-unique (RFC 5929) of its connection as challengePassword, else 401. Each line of the log is
OPERATION STATUS. Certificates are signed by `estca sign`.
"""
import base64
import re
import socket
import ssl
import subprocess
import sys

directory, estca, port_file, log_path = sys.argv[1:]


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, **options).stdout


def bag(*certificates):
    """A certs-only PKCS#7 in base64."""
    arguments = [argument for path in certificates for argument in ("-certfile", path)]
    return base64.encodebytes(run("openssl", "crl2pkcs7", "-nocrl", "-outform", "DER", *arguments))


def enrol(body, binding):
    request, certificate = f"{log_path}.csr", f"{log_path}.crt"
    with open(request, "wb") as file:
        file.write(base64.b64decode(body))
    text = run("openssl", "req", "-inform", "DER", "-in", request, "-noout", "-text").decode()
    found = re.search(r"challengePassword\s*:(\S+)", text)
    if found is None or base64.b64decode(found[1]) != binding:
        return 401, b"Proof of Possession Mismatch.\n"
    run(estca, "sign", directory, "--csr", request, "--out", certificate)
    return 200, bag(certificate)


def answer(connection):
    """One request; False when the client has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(4096)
        if not more:
            return False
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(4096)
    operation = head.split(b" ")[1].rsplit(b"/", 1)[1].decode()
    status, reply = 404, b""
    if operation == "cacerts":
        status, reply = 200, bag(f"{directory}/root.pem", f"{directory}/ca.pem")
    elif operation in ("simpleenroll", "simplereenroll"):
        status, reply = enrol(body, connection.get_channel_binding("tls-unique"))
    with open(log_path, "a") as log:
        log.write(f"{operation} {status}\n")
    connection.sendall(f"HTTP/1.1 {status} .\r\nContent-Length: {len(reply)}\r\n".encode()
                       + b"Content-Type: application/pkcs7-mime\r\n\r\n" + reply)
    return True


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.maximum_version = ssl.TLSVersion.TLSv1_2
context.load_cert_chain(f"{directory}/server.pem", f"{directory}/server.key")
with socket.create_server(("127.0.0.1", 0)) as listener:
    with open(port_file, "w") as file:
        file.write(str(listener.getsockname()[1]))
    while True:
        plain, _ = listener.accept()
        try:
            with context.wrap_socket(plain, server_side=True) as tls:
                while answer(tls):
                    pass
        except (OSError, subprocess.CalledProcessError) as why:
            print(why, file=sys.stderr)
