#!/bin/sh
# The way to the server: redirects by the origin rule of RFC 7030 3.2.1, a proxy that the configuration names, connections
# that are never shared between identities.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/estd.sh"
need openssl curl nginx tinyproxy socat /usr/bin/python3
free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
ca_make ca
ca_make other
factory idevid ca
echo secret >"$work/password"
cert_conf dev '[auth]' "key = $work/idevid.key" "cert = $work/idevid.pem"
serve() {
    ca_serve ca "$@"
    estd_conf "$work/ca/root.pem"
}

# ---- redirects to the same origin ----

for status in 301 302 307 308; do
    serve --fault redirect=$status@1
    check "$status: the request is sent to another path of the server" enrolled dev
    check_equal "$status: as it was" "POST: $status 200" \
        "POST: $(sed -n 's/.*op=simpleenroll status=\([0-9]*\).*/\1/p' "$log" | paste -sd' ')"
    check_equal "$status: over the same connection" 1 "$(sed -n 's/.*op=simpleenroll .*conn=\([0-9]*\).*/\1/p' "$log" | sort -u | wc -l)"
    ca_stop
    serve --fault redirect=$status@1 --fault-op cacerts
    check "$status: so is /cacerts" enrolled dev
    ca_stop
done
serve --fault redirect=307@1 --binding require
estd_conf "$work/ca/root.pem" 'channel_binding = always'
check "a request that is tied to its connection" enrolled dev
check_equal "is tied wherever it goes" 1 "$(requests 'op=simpleenroll status=200 .*bound=')"
ca_stop
serve --fault redirect=303@1 --fault-op cacerts
check "303 to another path" enrolled dev
ca_stop
serve --fault redirect=303
refused "303 would make a question of the request" "turns the request into a GET (HTTP 303)" dev
ca_stop
serve --fault redirect=307
refused "a circle" "more than 5 redirects" dev
check_equal "is left after the fifth time" 6 "$(requests op=simpleenroll)"
ca_stop
serve --fault redirect=302 --fault-op csrattrs
check "a circle of /csrattrs is no hindrance" enrolled dev
check "and told" grep -q 'without CSR attributes, because .*more than 5 redirects' "$work/once.err"
ca_stop

# ---- to another ----

serve --fault redirect-away=302@1 --fault-op cacerts
check "/cacerts of another origin that the anchors vouch for" enrolled dev
check_equal "over a new connection, without an identity" 2 \
    "$(sed -n 's/.*op=cacerts .*peer="" .*conn=\([0-9]*\).*/\1/p' "$log" | sort -u | wc -l)"
ca_stop
serve --fault redirect-away=307
refused "the request does not go to another origin" \
    "the server https://localhost:$port redirects the request to https://127.0.0.1:$port, which a human must allow" dev
check_equal "and the other server hears nothing" 1 "$(requests op=simpleenroll)"
ca_stop
serve --fault redirect-http=302 --fault-op cacerts
refused "nor anything to a server without TLS" "which is not https" dev
ca_stop
ca_serve other
away=$port elsewhere=$work/other.log
front=$(free_port)
cat >"$work/nginx.conf" <<CONF
daemon off; worker_processes 1; pid $work/nginx.pid; error_log $work/nginx.log;
events {}
http {
    access_log off;
    client_body_temp_path $work/n1; proxy_temp_path $work/n2; fastcgi_temp_path $work/n3; uwsgi_temp_path $work/n4;
    scgi_temp_path $work/n5;
    server {
        listen 127.0.0.1:$front ssl;
        ssl_certificate $work/ca/server.pem; ssl_certificate_key $work/ca/server.key;
        location / { return 307 https://localhost:$away\$request_uri; }
    }
}
CONF
in_background nginx -p "$work" -c "$work/nginx.conf" 2>"$work/nginx.err"
wait_for 10 curl -s --cacert "$work/ca/root.pem" "https://localhost:$front/" || skip_all "nginx does not start"
port=$front
estd_conf "$work/ca/root.pem"
refused "nginx leads to a server that the anchors do not vouch for" "the server's certificate is not trusted" dev
check_equal "which is asked for nothing" 0 "$(grep -c 'op=cacerts' "$elsewhere")"
kill "$server"

# ---- a proxy ----

serve
estca=$server proxy=$(free_port) ear=$(free_port)
cat >"$work/tinyproxy.conf" <<CONF
Port $proxy
Listen 127.0.0.1
LogLevel Connect
LogFile "$work/tinyproxy.log"
ConnectPort $port
CONF
in_background tinyproxy -d -c "$work/tinyproxy.conf" 2>"$work/tinyproxy.err"
proxy_pid=$server
# What passes between estd and the proxy is written down.
in_background socat -v "TCP-LISTEN:$ear,bind=127.0.0.1,fork,reuseaddr" "TCP:127.0.0.1:$proxy" 2>"$work/heard"
wait_for 10 curl -s "http://127.0.0.1:$proxy/" || skip_all "tinyproxy does not start"
wait_for 10 curl -s "http://127.0.0.1:$ear/" || skip_all "socat does not start"
cert_conf pass '[auth]' 'user = dev' "password_file = $work/password" 'header = Secret-Value' "header_file = $work/password"
estd_conf "$work/ca/root.pem" "proxy = http://127.0.0.1:$ear"
check "by a proxy" enrolled dev
check "which was asked for a way to the server" grep -aq "CONNECT localhost:$port HTTP/1.1" "$work/heard"
: >"$work/heard"
check_fails "a password by a proxy, to a server that wants a certificate" "HTTP 403" once pass
check "goes through" grep -aq "CONNECT localhost:$port" "$work/heard"
check_fails "the proxy sees no secret" "" grep -aiE 'secret|authorization' "$work/heard"
check "nor is it excepted by the environment" env NO_PROXY=localhost no_proxy=localhost "$ESTD" -c "$work/est.conf" --once dev
(port=1 && estd_conf "$work/ca/root.pem" "proxy = http://127.0.0.1:$ear")
refused "a port that the proxy does not allow" "does not let us through (HTTP 403)" dev
kill "$proxy_pid" "$server"
wait "$proxy_pid"
estd_conf "$work/ca/root.pem" "proxy = http://127.0.0.1:$proxy"
refused "no proxy there" "no way to the server by the proxy http://127.0.0.1:$proxy" dev
estd_conf "$work/ca/root.pem"
check "the environment's proxies are not used" env https_proxy="http://127.0.0.1:$proxy" HTTPS_PROXY="http://127.0.0.1:$proxy" \
    ALL_PROXY="http://127.0.0.1:$proxy" "$ESTD" -c "$work/est.conf" --once dev
estd_conf "$work/ca/root.pem" "proxy = none"
check "none is none" once dev

# ---- connections ----

# Two devices at one server, at the same time and again: the server, which keeps connections, sees each as itself.
printf '[renew]\nwindow = 1-1\n' >>"$work/certs.d/dev.conf"
factory second ca
cert_conf two '[auth]' "key = $work/second.key" "cert = $work/second.pem" '[renew]' 'window = 1-1'
rm "$work/certs.d/pass.conf"
rm -rf "$work/installed"/*.pem "$work/state"
server=$estca
ca_stop
serve --lifetime 20
"$ESTD" -c "$work/est.conf" 2>"$work/daemon.err" &
daemon=$!
pids="$pids $daemon"
twice() {
    [ "$(requests 'op=simplereenroll status=200 .*subject="CN=dev"')" -ge 2 ] &&
        [ "$(requests 'op=simplereenroll status=200 .*subject="CN=two"')" -ge 2 ]
}
check "two devices renew twice" wait_for 30 twice
kill $daemon
wait $daemon
check_equal "first by their own IDevIDs" 'peer="CN=idevid" subject="CN=dev",peer="CN=second" subject="CN=two"' \
    "$(sed -n 's/.*op=simpleenroll status=200 auth=mtls \(.*\) serial.*/\1/p' "$log" | sort | paste -sd,)"
check_equal "then each by itself" "" "$(grep op=simplereenroll "$log" | grep -vE 'peer="CN=(dev|two)" subject="CN=\1"')"
check_equal "/cacerts and /csrattrs share a connection, which has no identity" "" \
    "$(grep -E 'op=(cacerts|csrattrs)' "$log" | grep -v 'peer="" ')"
# each connection: how many identities, how many certificates
check_equal "and no connection serves two" "" "$(sed -n 's/.*auth=[a-z]* peer="\([^"]*\)" subject="\([^"]*\)".* conn=\([0-9]*\).*/\3 [\1] [\2]/p' "$log" |
    awk '$2 != "[]" {print}' | sort -u | awk 'seen[$1]++')"
finish
