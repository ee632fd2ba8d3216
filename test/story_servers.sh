#!/bin/sh
# Servers with a TPM key, given as the PEM file that stands for it: 50 clients at once, each of which the server demands a
# certificate of.
# shellcheck disable=SC1091,SC2154
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/servers.sh"
need swtpm openssl curl nginx haproxy stunnel lighttpd apache2 mosquitto mosquitto_pub mosquitto_sub socat xargs \
    /usr/bin/python3
pki_make
backend_start

# fifty: 50 handshakes at once, no session resumed and no connection used twice, each by a client with a certificate that
# verifies the server's chain and name.
fifty() {
    rm -rf "$work/pages"
    mkdir "$work/pages"
    curl -4 -sS --parallel --parallel-max 50 --parallel-immediate --no-sessionid --max-time 60 -H 'Connection: close' \
        --cacert "$work/pki/root.pem" --cert "$work/client.crt" --key "$work/client.key" -o "$work/pages/#1" \
        -w '%{http_code} %{num_connects} %{ssl_verify_result}\n' "https://localhost:$port/?[1-50]" >"$work/fifty" &&
        [ "$(sort "$work/fifty" | uniq -c | tr -s ' ')" = " 50 200 1 0" ] &&
        [ "$(find "$work/pages" -type f -exec grep -l '^here' {} + | wc -l)" -eq 50 ]
}
refuses() { # what curl gives instead of a certificate
    ! get "$@" || ! grep -q here "$work/page"
}

# use NAME: the files that the server is told to read have its certificate and key.
use() {
    cp "$work/$1.crt" "$work/now.crt"
    cp "$work/$1.key" "$work/now.key"
    cat "$work/$1.crt" "$work/$1.key" >"$work/now.both"
    chmod 640 "$work/now.key" "$work/now.both"
    chgrp "$drop_to_group" "$work/now.key" "$work/now.both"
}
# shows NAME HOW...: the server has its certificate, and the private key to that. HOW prints what it sends, the leaf first.
shows() {
    shown=$1
    shift
    "$@" | openssl x509 -noout -pubkey 2>/dev/null | cmp -s - "$work/$shown.pub"
}
by_https() {
    fetch -o "$work/page" -w '%{certs}' --cert "$work/client.crt" --key "$work/client.key"
}
by_tls() {
    openssl s_client -connect "127.0.0.1:$port" -cert "$work/client.crt" -key "$work/client.key" \
        -cert_chain "$work/client.crt" </dev/null 2>/dev/null
}

stops() { # WHO: lighttpd answers 1 when a connection was open, and a crash is no answer
    server_stop
    code=$?
    check "$1: ends when told to, and by no crash (exit $code)" test "$code" -le 1 -o "$code" -eq 143
}

# serves WHO LOG [SIGNAL [FILTER]]: what a server on $port owes that has ldevid from now.crt and now.key, and on SIGNAL reads
# them again. FILTER is a pattern of lines that it may write into LOG when nothing is wrong.
serves() {
    check "$1 serves" wait_for 10 get_as client
    check "$1: by the key in the TPM" shows ldevid by_https
    check "$1: 50 clients at once" fifty
    if [ -n "${3:-}" ]; then
        use idevid
        kill "-$3" "$server"
        check "$1: has another key after signal $3" wait_for 10 shows idevid by_https
        check "$1: 50 more" fifty
        use ldevid
    fi
    check_equal "$1: nothing to complain of" "" "$(grep -vE "${4:-^\$}" "$2")"
    check "$1: refuses a client without certificate" refuses
    check "$1: refuses a client of another CA" refuses --cert "$work/stranger.crt" --key "$work/stranger.key"
    check "$1: goes on" get_as client
    stops "$1"
}

start_nginx() {
    port=$(free_port)
    nginx_conf nginx "server {
        listen 127.0.0.1:$port ssl;
        ssl_certificate $work/now.crt; ssl_certificate_key $work/now.key;
        ssl_client_certificate $work/pki/root.pem; ssl_verify_client on; ssl_verify_depth 5;
        location / { return 200 here; }
    }"
    rm -f "$work/nginx.log"
    conf_server nginx -p "$work" -c "$work/nginx.conf" 2>"$work/nginx.err"
}
with_nginx() { # ALGORITHM
    start_nginx
    serves "$1: nginx" "$work/nginx.log" HUP
}
# What a log says when the user that a server became may not use the TPM. The key itself is known by its record.
with_no_access() { # ALGORITHM
    chmod 0 "$work/tpm" "$work/tpm.ctrl"
    start_nginx
    check "$1: nginx starts with access that its workers lack" wait_for 10 test -s "$work/nginx.pid"
    check_fails "$1: their handshakes fail" "alert internal error" get_as client
    check "$1: and the log says why" grep -q "no TPM at $TPM2CLOUD_TCTI" "$work/nginx.log"
    tpm_open
    check "$1: with access they work, without a restart" get_as client
    server_stop
}

# haproxy_conf FILE: $work/haproxy.cfg, on a new $port, with certificate and key from FILE (or the key beside it, in .key).
haproxy_conf() {
    port=$(free_port)
    cat >"$work/haproxy.cfg" <<CONF
global
    $(if_root "user $drop_to" "group $drop_to_group")
    nbthread 2
    ssl-load-extra-del-ext
    log stderr format raw local0
defaults
    mode http
    timeout connect 20s
    timeout client 20s
    timeout server 20s
    log global
    option httplog
    option dontlog-normal
frontend tls
    bind 127.0.0.1:$port ssl crt $1 ca-file $work/pki/root.pem verify required
    http-request return status 200 content-type text/plain string here
CONF
}
with_haproxy() { # ALGORITHM
    haproxy_conf "$work/now.both"
    conf_server haproxy -db -f "$work/haproxy.cfg" 2>"$work/haproxy.log"
    serves "$1: haproxy, one file" "$work/haproxy.log"
    haproxy_conf "$work/now.crt"
    conf_server haproxy -W -f "$work/haproxy.cfg" 2>"$work/haproxy.log"
    serves "$1: haproxy, master and worker, two files" "$work/haproxy.log" USR2 \
        '^\[NOTICE\]|^\[WARNING\] .* (Reexecuting|Former worker)|Proxy .* stopped'
}

with_stunnel() { # ALGORITHM
    port=$(free_port)
    cat >"$work/stunnel.conf" <<CONF
$(stunnel_options)
[tls]
accept = 127.0.0.1:$port
connect = 127.0.0.1:$plain_port
cert = $work/now.crt
key = $work/now.key
CAfile = $work/pki/root.pem
requireCert = yes
verifyChain = yes
CONF
    conf_server stunnel "$work/stunnel.conf" 2>"$work/stunnel.log"
    serves "$1: stunnel" "$work/stunnel.log" HUP
}

with_lighttpd() { # ALGORITHM
    port=$(free_port)
    mkdir -p "$work/www"
    echo here >"$work/www/index.html"
    cat >"$work/lighttpd.conf" <<CONF
server.modules = ("mod_openssl")
server.bind = "127.0.0.1"
server.port = $port
server.document-root = "$work/www"
server.upload-dirs = ("$work")
index-file.names = ("index.html")
ssl.engine = "enable"
ssl.pemfile = "$work/now.crt"
ssl.privkey = "$work/now.key"
ssl.verifyclient.activate = "enable"
ssl.verifyclient.enforce = "enable"
ssl.verifyclient.depth = 5
ssl.verifyclient.ca-file = "$work/pki/root.pem"
$(if_root "server.username = \"$drop_to\"" "server.groupname = \"$drop_to_group\"")
CONF
    conf_server lighttpd -D -f "$work/lighttpd.conf" 2>"$work/lighttpd.log"
    serves "$1: lighttpd" "$work/lighttpd.log" "" 'server started|system library::Broken pipe'
}

with_apache() { # ALGORITHM
    port=$(free_port)
    mkdir -p "$work/www"
    echo here >"$work/www/index.html"
    cat >"$work/apache.conf" <<CONF
ServerRoot $work
ServerName localhost
DefaultRuntimeDir $work
PidFile $work/apache.pid
ErrorLog $work/apache.log
LogLevel warn ssl:info
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule socache_shmcb_module /usr/lib/apache2/modules/mod_socache_shmcb.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
SSLSessionCache shmcb:$work/apache.sessions
$(if_root "User $drop_to" "Group $drop_to_group")
StartServers 2
ThreadsPerChild 25
MaxRequestWorkers 100
Listen 127.0.0.1:$port
DocumentRoot $work/www
DirectoryIndex index.html
SSLEngine on
SSLCertificateFile $work/now.crt
SSLCertificateKeyFile $work/now.key
SSLCACertificateFile $work/pki/root.pem
SSLVerifyClient require
SSLVerifyDepth 5
CONF
    rm -f "$work/apache.log"
    conf_server apache2 -DFOREGROUND -f "$work/apache.conf" 2>"$work/apache.err"
    serves "$1: apache" "$work/apache.log" USR1 ':notice\]|:info\] .* AH0(1883|1887|1914|2568|1876|1964): '
}

# Each child of a forking socat frees the key that it has from the parent, and ends.
socat_start() {
    port=$(free_port)
    files="cert=$work/now.crt,key=$work/now.key,cafile=$work/pki/root.pem,verify=1"
    conf_server socat "OPENSSL-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork,backlog=64,$files" "TCP:127.0.0.1:$plain_port" \
        2>"$work/socat.log"
}
with_socat() { # ALGORITHM
    socat_start
    serves "$1: socat, forking" "$work/socat.log" "" '\] W '
}

# The same with a key that must be loaded into the TPM: each child loads it and flushes it.
with_loaded_key() {
    tpm_key pump ec-p256
    use pump
    socat_start
    check "socat, forking, with a key below the storage root" wait_for 10 get_as client
    for i in 2 3 4 5 6; do
        check "socat, forking, with a key below the storage root, client $i" get_as client
    done
    server_stop
    tpm_clean "socat, forking"
    use ldevid
}

https_in_python='
import socket, ssl, sys, threading
port, cert, key, ca = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
context.verify_mode = ssl.CERT_REQUIRED
context.load_cert_chain(cert, key)
listener = socket.create_server(("127.0.0.1", int(port)), backlog=64)
def serve(raw):
    with raw, context.wrap_socket(raw, server_side=True) as tls:
        tls.recv(4096)
        tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhere")
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()'
with_python() { # ALGORITHM
    port=$(free_port)
    conf_server /usr/bin/python3 -c "$https_in_python" "$port" "$work/now.crt" "$work/now.key" "$work/pki/root.pem" \
        2>"$work/python.log"
    serves "$1: python" "$work/python.log"
}

# One subscriber, and 50 that publish.
publish() { # MESSAGE, NAME of a software key, ARGUMENTS...
    message=$1 who=$2
    shift 2
    mosquitto_pub -h localhost -p "$port" --cafile "$work/pki/root.pem" --cert "$work/$who.crt" --key "$work/$who.key" \
        -q 1 -t t -m "$message" "$@"
}
publish_fifty() {
    seq 50 | xargs -P 50 -I '{}' mosquitto_pub -h localhost -p "$port" --cafile "$work/pki/root.pem" \
        --cert "$work/client.crt" --key "$work/client.key" -q 1 -t t -m 'message {}'
}
all_there() {
    [ "$(grep -c '^message ' "$work/received")" -ge 50 ]
}
with_mosquitto() { # ALGORITHM
    broker_start "$work/now.crt" "$work/now.key" conf_server
    broker=$server
    check "$1: mosquitto serves" wait_for 10 publish early client -r
    check "$1: mosquitto, by the key in the TPM" shows ldevid by_tls
    in_background mosquitto_sub -h localhost -p "$port" --cafile "$work/pki/root.pem" --cert "$work/client.crt" \
        --key "$work/client.key" -t t -q 1 >"$work/received" 2>&1
    check "$1: mosquitto has a subscriber" wait_for 10 grep -q '^early' "$work/received"
    check "$1: mosquitto, 50 that publish at once" publish_fifty
    check "$1: mosquitto, the subscriber gets all" wait_for 20 all_there
    check_equal "$1: mosquitto, each message once" "$(seq 50)" "$(sed -n 's/^message //p' "$work/received" | sort -n)"
    use idevid
    kill -HUP "$broker"
    check "$1: mosquitto has another key after signal HUP" wait_for 10 shows idevid by_tls
    use ldevid
    check_equal "$1: mosquitto, nothing to complain of" "" "$(cat "$work/mosquitto.log")"
    check_fails "$1: mosquitto refuses a client without certificate" "" \
        mosquitto_pub -h localhost -p "$port" --cafile "$work/pki/root.pem" -t t -m x
    check_fails "$1: mosquitto refuses a client of another CA" "" publish x stranger
    server_stop
    server=$broker
    stops "$1: mosquitto"
}

for algorithm in ec-p256 rsa-2048; do
    identities $algorithm
    use ldevid
    for program in nginx no_access haproxy stunnel lighttpd apache socat python mosquitto; do
        with_$program $algorithm
    done
    tpm_clean $algorithm
    [ $algorithm = rsa-2048 ] || tpm_stop
done
with_loaded_key
finish
