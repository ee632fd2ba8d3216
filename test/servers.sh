# shellcheck shell=sh disable=SC2034,SC2154
# Shared by the stories about programs that speak TLS; sourced after harness.sh.
#
# Keys in the TPM are ldevid and idevid; $work/NAME.crt is their certificate with its intermediate, NAME.pub its public key
# and NAME.key the PEM file that stands for the private one. $work/client.crt and .key are a software key of the same CA, stranger.crt and .key of another,
# server.crt and .key a software key for localhost.

# Servers that are started by root give that up, as Debian's do. A machine's administrator would put this user into the
# group tss for that; the TPM of these stories is open to all (tpm_open).
drop_to=$(id -un) drop_to_group=$(id -gn)
if [ "$(id -u)" -eq 0 ]; then
    drop_to=www-data drop_to_group=www-data
fi

# if_root LINE...: lines of a configuration that only root may have.
if_root() {
    [ "$(id -u)" -ne 0 ] || printf '%s\n' "$@"
}

# software CA NAME: a key without TPM, and its certificate by the CA in $work/CA.
software() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/$2.key" -subj "/CN=$2" \
        -out "$work/$2.csr" 2>"$work/err"
    "$ESTCA" sign "$work/$1" --csr "$work/$2.csr" --out "$work/$2.crt"
}

# pki_make: the CA, and what has no TPM.
pki_make() {
    "$ESTCA" init "$work/pki" >/dev/null
    "$ESTCA" init "$work/elsewhere" --name elsewhere >/dev/null
    software pki client
    software elsewhere stranger
    cat "$work/pki/server.pem" "$work/pki/ca.pem" >"$work/server.crt"
    cp "$work/pki/server.key" "$work/server.key"
    chmod 644 "$work"/*.key
}

# tpm_key NAME ALGORITHM: a key in the TPM, with certificate, public key and wrapped key file.
tpm_key() {
    "$T2C" key create "$1" --alg "$2" >/dev/null
    "$T2C" csr "$1" --subject "/CN=$1" --san DNS:localhost,IP:127.0.0.1 --eku clientAuth,serverAuth --out "$work/$1.csr"
    "$ESTCA" sign "$work/pki" --csr "$work/$1.csr" --out "$work/$1.crt"
    openssl x509 -in "$work/$1.crt" -noout -pubkey >"$work/$1.pub"
    check "$2: certificate of $1" "$T2C" cert import "$1" "$work/$1.crt"
    "$T2C" key pem "$1" --out "$work/$1.key"
}

# identities ALGORITHM: a TPM whose ldevid and idevid have it.
identities() {
    tpm_start
    tpm_key ldevid "$1"
    tpm_key idevid "$1"
    chmod 711 "$work"
    tpm_open
}
tpm_open() {
    chmod 666 "$work/tpm" "$work/tpm.ctrl"
}

free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# conf_server COMMAND...: in_background, with our openssl.cnf.
conf_server() {
    in_background env OPENSSL_CONF="$srcdir/packaging/openssl.cnf" "$@"
}

# server_stop: the last one started in the background is gone; its exit status.
server_stop() {
    end_process "$server"
}

# fetch ARGUMENTS...: curl to $port, where a server must have the chain and the name.
fetch() {
    curl -4 -sS --max-time 20 --cacert "$work/pki/root.pem" "$@" "https://localhost:$port/"
}
get() { # ARGUMENTS...: a page
    [ "$(fetch -o "$work/page" -w '%{http_code}' "$@")" = 200 ]
}
get_as() { # NAME of a software key
    get --cert "$work/$1.crt" --key "$work/$1.key"
}

# nginx_conf NAME HTTP...: $work/NAME.conf, with the text of the http block.
nginx_conf() {
    cat >"$work/$1.conf" <<CONF
$(if_root "user $drop_to $drop_to_group;")
daemon off; worker_processes 2; pid $work/$1.pid; error_log $work/$1.log;
env TPM2CLOUD_TCTI; env TPM2CLOUD_CONF; env ASAN_OPTIONS; env LD_PRELOAD;
events {}
http {
    access_log off;
    client_body_temp_path $work/n1; proxy_temp_path $work/n2; fastcgi_temp_path $work/n3; uwsgi_temp_path $work/n4;
    scgi_temp_path $work/n5;
    $2
}
CONF
}

# backend_start: a server that has no TPM key. Plain at $plain_port, for those that carry TLS for others; and by TLS at
# $tls_port, where it wants a client's certificate and tells whose it was. At $known_ca_port it has the issuing CA already, for
# clients that send their own certificate alone.
backend_start() {
    plain_port=$(free_port) tls_port=$(free_port) known_ca_port=$(free_port)
    cat "$work/pki/root.pem" "$work/pki/ca.pem" >"$work/known.pem"
    blocks="server { listen 127.0.0.1:$plain_port; location / { return 200 here; } }"
    for where in "$tls_port ssl; ssl_client_certificate $work/pki/root.pem" \
        "$known_ca_port ssl; ssl_client_certificate $work/known.pem"; do
        blocks="$blocks
    server {
        listen 127.0.0.1:$where;
        ssl_certificate $work/server.crt; ssl_certificate_key $work/server.key;
        ssl_verify_client on; ssl_verify_depth 5;
        location / { return 200 \"\$ssl_client_s_dn, \$ssl_protocol\"; }
    }"
    done
    nginx_conf backend "$blocks"
    in_background nginx -p "$work" -c "$work/backend.conf" 2>"$work/backend.err"
    wait_for 10 curl -4 -s -o "$work/page" "http://localhost:$plain_port/" || skip_all "nginx does not start"
}

# broker_start CERTIFICATE KEY COMMAND...: mosquitto on $port, started by COMMAND (in_background or conf_server). A client's
# certificate is its user name; who it is decides what it may do: ldevid writes, idevid and client read and write.
broker_start() {
    port=$(free_port)
    cat >"$work/mosquitto.acl" <<CONF
user ldevid
topic write t
user idevid
topic readwrite t
user client
topic readwrite t
CONF
    chmod 600 "$work/mosquitto.acl"
    chown "$drop_to:$drop_to_group" "$work/mosquitto.acl"
    cat >"$work/mosquitto.conf" <<CONF
$(if_root "user $drop_to")
listener $port 127.0.0.1
cafile $work/pki/root.pem
certfile $1
keyfile $2
require_certificate true
use_identity_as_username true
acl_file $work/mosquitto.acl
log_dest stderr
log_type error
log_type warning
CONF
    shift 2
    "$@" mosquitto -c "$work/mosquitto.conf" 2>"$work/mosquitto.log"
}

# stunnel_options: of its configuration, for client and server alike.
stunnel_options() {
    printf 'foreground = yes\ndebug = warning\nsyslog = no\npid =\n'
    if_root "setuid = $drop_to" "setgid = $drop_to_group"
}
