#!/bin/sh
# Clients with a TPM key, given as the PEM file that stands for it, before servers that demand a certificate and tell whose
# it was; and where a program takes URIs, by URI.
# shellcheck disable=SC1091,SC2154
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/servers.sh"
need swtpm openssl curl nginx stunnel mosquitto mosquitto_pub mosquitto_sub socat /usr/bin/python3
pki_make
backend_start

seen_as() { # NAME COMMAND...: prints the page on which the backend says that it saw the certificate of NAME
    seen=$1
    shift
    "$@" >"$work/page" && grep -q "^CN=$seen, TLSv1" "$work/page"
}

with_curl() { # CERTIFICATE [KEY]
    with_conf curl -4 -sS --cacert "$work/pki/root.pem" --cert "$work/$1.crt" --key "$work/${2:-$1}.key" \
        "https://localhost:$tls_port/"
}
# Since 8.14, curl takes provider and URIs; in --cert, a colon would begin a password.
curl_takes_uris() {
    curl --version | awk '{split($2, v, "."); exit !(v[1] > 8 || (v[1] == 8 && v[2] >= 14))}'
}
with_curl_by_uri() { # NAME ARGUMENTS...
    name=$1
    shift
    stock curl -4 -sS --cacert "$work/pki/root.pem" --engine tpm2cloud --key-type PROV --key "tpm2cloud:$name" "$@"
}
curl_by_uri() { # ALGORITHM NAME
    check "$1 $2: curl with the key by URI" seen_as "$2" with_curl_by_uri "$2" --cert "$work/$2.crt" \
        "https://localhost:$tls_port/"
    for how in "--tls-max 1.2" "--tlsv1.3" "--curves P-256"; do
        # shellcheck disable=SC2086
        check "$1 $2: curl with key and certificate by URI, $how" seen_as "$2" with_curl_by_uri "$2" --cert-type PROV \
            --cert "tpm2cloud\\:$2" $how "https://localhost:$known_ca_port/"
    done
}

https_in_python='
import socket, ssl, sys
port, cert, key, ca = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(cert, key)
with socket.create_connection(("127.0.0.1", int(port)), timeout=20) as raw:
    with context.wrap_socket(raw, server_hostname="localhost") as tls:
        tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
        while text := tls.recv(4096):
            sys.stdout.write(text.decode())'
with_python() { # CERTIFICATE [KEY]
    with_conf /usr/bin/python3 -c "$https_in_python" "$tls_port" "$work/$1.crt" "$work/${2:-$1}.key" "$work/pki/root.pem"
}

with_socat() { # NAME
    printf 'GET / HTTP/1.0\r\n\r\n' | with_conf socat -t 20 - \
        "OPENSSL:localhost:$tls_port,pf=ip4,cert=$work/$1.crt,key=$work/$1.key,cafile=$work/pki/root.pem"
}

stunnel_start() { # NAME
    port=$(free_port)
    cat >"$work/stunnel.conf" <<CONF
$(stunnel_options)
[tls]
client = yes
accept = 127.0.0.1:$port
connect = 127.0.0.1:$tls_port
cert = $work/$1.crt
key = $work/$1.key
CAfile = $work/pki/root.pem
verifyChain = yes
checkHost = localhost
CONF
    chmod 640 "$work/$1.key"
    conf_server stunnel "$work/stunnel.conf" 2>"$work/stunnel.log"
}
with_stunnel() {
    curl -4 -sS "http://localhost:$port/"
}
# fifty_by_stunnel NAME: 50 at once, by one process with the TPM key.
fifty_by_stunnel() {
    rm -rf "$work/pages"
    mkdir "$work/pages"
    curl -4 -sS --parallel --parallel-max 50 --parallel-immediate --max-time 60 -H 'Connection: close' \
        -o "$work/pages/#1" "http://localhost:$port/?[1-50]" &&
        [ "$(find "$work/pages" -type f -exec grep -l "^CN=$1, TLSv1" {} + | wc -l)" -eq 50 ]
}

# mqtt PROGRAM NAME ARGUMENTS...: a client of the broker.
mqtt() {
    mqtt_program=$1 mqtt_name=$2
    shift 2
    with_conf "$mqtt_program" -h localhost -p "$port" --cafile "$work/pki/root.pem" --cert "$work/$mqtt_name.crt" \
        --key "$work/$mqtt_name.key" -q 1 -t t "$@"
}
with_mosquitto() { # ALGORITHM
    broker_start "$work/server.crt" "$work/server.key" in_background
    broker=$server
    check "$1: mosquitto_pub" wait_for 10 mqtt mosquitto_pub idevid -m early -r
    conf_server mosquitto_sub -h localhost -p "$port" --cafile "$work/pki/root.pem" --cert "$work/idevid.crt" \
        --key "$work/idevid.key" -q 1 -t t -C 3 >"$work/received" 2>"$work/received.err"
    check "$1: mosquitto_sub gets what was there" wait_for 10 grep -q '^early' "$work/received"
    check "$1: mosquitto_pub with ldevid" mqtt mosquitto_pub ldevid -m 'from ldevid'
    check "$1: mosquitto_pub with idevid" mqtt mosquitto_pub idevid -m 'from idevid'
    wait "$server"
    check_equal "$1: mosquitto_sub ends by itself" 0 $?
    check_equal "$1: with all three messages" "early from ldevid from idevid" "$(paste -sd ' ' "$work/received")"
    check_fails "$1: the broker knows who may only write" "Timed out" mqtt mosquitto_sub ldevid -C 1 -W 1
    server=$broker
    server_stop
}

for algorithm in ec-p256 rsa-2048; do
    identities $algorithm
    for name in ldevid idevid; do
        for program in curl python socat; do
            check "$algorithm $name: $program" seen_as $name with_$program $name
        done
        stunnel_start $name
        check "$algorithm $name: stunnel" wait_for 10 seen_as $name with_stunnel
        check "$algorithm $name: stunnel, 50 at once" fifty_by_stunnel $name
        check_equal "$algorithm $name: stunnel, nothing to complain of" "" "$(grep -v 'No OCSP stapling' "$work/stunnel.log")"
        server_stop
        if curl_takes_uris; then
            curl_by_uri $algorithm $name
        fi
    done
    with_mosquitto $algorithm
    tpm_clean $algorithm
    check_equal "$algorithm: the servers complain of nothing" "" "$(cat "$work/backend.log" "$work/mosquitto.log")"
    [ $algorithm = rsa-2048 ] || tpm_stop
done
check_fails "the server demands a certificate" "" seen_as ldevid curl -4 -sS --cacert "$work/pki/root.pem" "https://localhost:$tls_port/"

# What the programs say when it cannot work.
check_fails "python says that certificate and key differ" "key values mismatch" with_python idevid ldevid
check_fails "curl refuses such a pair" "unable to set private key file" with_curl idevid ldevid
TPM2CLOUD_TCTI=swtpm:path=$work/nothing
rm "$work"/keys/*.record
check_fails "python fails when there is no TPM, and not for a missing file" "PEM lib" with_python ldevid
TPM2CLOUD_TCTI=$TPM2TOOLS_TCTI
finish
