#!/bin/sh
# Who enrols by a password or a header: Basic, Digest, a secret from a file, a credential or the environment; each challenge
# is answered once, and only to the server that the configuration trusts.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/estd.sh"
need openssl
ca_make ca
ca_make other
printf 'horse battery\nsecond line\n' >"$work/password"
printf 'wrong\n' >"$work/wrong"
# login NAME LINE...: a certificate with a password; LINEs are more of [auth]
login() {
    name=$1
    shift
    cert_conf "$name" '[auth]' 'user = device 1' "password_file = $work/password" "$@"
}
# serve ARGUMENTS...: with that password
serve() {
    ca_serve ca --user 'device 1:horse battery' "$@"
    estd_conf "$work/ca/root.pem" 'csrattrs = never'
}
statuses() {
    sed -n 's/.*op=simpleenroll status=\([0-9]*\) auth=\([a-z]*\).*/\1 \2/p' "$log" | paste -sd,
}

# ---- Basic ----

login basic
serve --auth basic
check "Basic" enrolled basic
check_equal "goes along without being asked for" "200 basic" "$(statuses)"
cert_conf bad '[auth]' 'user = device 1' "password_file = $work/wrong"
: >"$log"
refused "a wrong password" "HTTP 401: not authenticated; check user and password_file" bad
check_equal "is tried once" "401 none" "$(statuses)"
login digest 'method = digest'
: >"$log"
refused "Digest where the server wants Basic" "HTTP 401: not authenticated" digest
check "ends after one question" test "$(requests op=simpleenroll)" -le 2
login any 'method = any'
: >"$log"
check "whatever the server wants: Basic" enrolled any
check_equal "after one question" "401 none,200 basic" "$(statuses)"
ca_stop

# ---- Digest ----

for algorithm in MD5 SHA-256; do
    serve --auth digest --digest $algorithm
    check "Digest with $algorithm" enrolled digest
    check_equal "Digest with $algorithm: one question, one answer" "401 none,200 digest" "$(statuses)"
    : >"$log"
    check "Digest with $algorithm, whatever the server wants" enrolled any
    check_equal "Digest with $algorithm: asked for as well" "401 none,200 digest" "$(statuses)"
    cert_conf bad '[auth]' 'user = device 1' "password_file = $work/wrong" 'method = digest'
    : >"$log"
    refused "Digest with $algorithm, a wrong password" "HTTP 401: not authenticated" bad
    check_equal "Digest with $algorithm: it is tried once" "401 none,401 none" "$(statuses)"
    ca_stop
done
serve --auth digest
refused "Basic where the server wants Digest" "wants Digest instead of Basic; set method = digest in [auth] of" basic
ca_stop
serve --auth digest --fault stale@1
check "a nonce that was stale" enrolled digest
ca_stop
serve --auth digest --fault stale
refused "nonces that are stale for ever" "asks for the password again and again" digest
check "cost a few requests" test "$(requests op=simpleenroll)" -le 4
ca_stop
for method in basic digest any; do
    serve --auth "$([ $method = any ] && echo basic || echo $method)" --fault challenge
    refused "challenged whatever it sends, $method" "$([ $method = basic ] && echo 'HTTP 401' || echo '')" $method
    check "challenged whatever it sends, $method: a few requests" test "$(requests op=simpleenroll)" -le 4
    ca_stop
done

# ---- a header ----

secretly() { # NAME SOURCE
    cert_conf "$1" '[auth]' 'header = Secret-Value' "header_file = $2"
}
serve --auth header --header 'Secret-Value:correct: horse'
printf 'correct: horse\n' >"$work/secret"
secretly file "$work/secret"
check "a header from a file" enrolled file
check_equal "lets it in" "200 header" "$(statuses)"
mkdir "$work/credentials"
cp "$work/secret" "$work/credentials/est"
secretly cred cred:est
export CREDENTIALS_DIRECTORY="$work/credentials"
check "from a credential of systemd" enrolled cred
unset CREDENTIALS_DIRECTORY
refused "a credential that is not there" 'is not set; systemd sets it for a service' cred
secretly env env:EST_SECRET
EST_SECRET='correct: horse'
export EST_SECRET
check "from the environment" enrolled env
unset EST_SECRET
refused "a variable that is not there" "the environment has no EST_SECRET" env
secretly wrong "$work/wrong"
: >"$log"
refused "a wrong one" "HTTP 401: not authenticated" wrong
check_equal "is tried once, since the server does not challenge" "401 none" "$(statuses)"
printf 'correct\r: horse\n' >"$work/cr"
printf 'a\tb\n' >"$work/tab"
: >"$work/empty"
for text in 'cr|HTTP 401' 'tab|has a control character (byte 1)' 'empty|holds no value on its first line'; do
    secretly odd "$work/${text%%|*}"
    refused "a secret from $(basename "$work/${text%%|*}")" "${text#*|}" odd
done
ca_stop

# ---- where no secret may go ----

login basic 'header = Secret-Value' "header_file = $work/secret"
serve --auth basic
estd_conf "$work/other/root.pem"
refused "a server that is not trusted" "the server's certificate is not trusted" basic
check_equal "is asked for nothing" 0 "$(requests 'op=(cacerts|csrattrs|simple)')"
ca_stop
serve --auth basic --fault redirect-away=307
refused "a redirect of the request to another origin" "redirects the request to https://127.0.0.1:$port" basic
check_equal "is not followed" 1 "$(requests op=simpleenroll)"
ca_stop
check_equal "no message and no file of estd's has a secret" "" "$(grep -rlE 'horse|correct' "$work/state" "$work/all.err" "$work/installed")"
finish
