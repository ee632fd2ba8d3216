# shellcheck shell=sh disable=SC2034,SC2154
# Shared by the stories about estd; sourced after harness.sh. Software keys; $work/est.conf is estd's configuration, with one
# certificate for each file in $work/certs.d, installed as $work/installed/NAME.pem.

unset TPM2CLOUD_ESTD_CONF JOURNAL_STREAM NOTIFY_SOCKET OPENSSL_CONF SSLKEYLOGFILE
unset http_proxy https_proxy HTTPS_PROXY ALL_PROXY all_proxy NO_PROXY no_proxy
mkdir -p "$work/certs.d" "$work/installed"

# new_key NAME: $work/NAME.key
new_key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/$1.key" 2>/dev/null
}

# factory NAME CA: $work/NAME.key with a certificate of the CA directory $work/CA in NAME.pem
factory() {
    new_key "$1"
    openssl req -new -key "$work/$1.key" -subj "/CN=$1" -out "$work/$1.csr" 2>/dev/null
    "$ESTCA" sign "$work/$2" --csr "$work/$1.csr" --out "$work/$1.pem"
}

# ca_make NAME ARGUMENTS...: a CA in $work/NAME, not serving
ca_make() {
    name=$1
    shift
    "$ESTCA" init "$work/$name" --name "$name" "$@" >/dev/null
}

# ca_serve NAME ARGUMENTS...: the CA in $work/NAME, made if it is not there, serving; sets $port, $server and $log, which is empty
ca_serve() {
    log=$work/$1.log
    : >"$log"
    estca_start "$@" && server=$estca
}

ca_stop() {
    end_process "$server"
}

# estd_conf TRUST LINE...: the main configuration for the server on $port; LINEs are more defaults
estd_conf() {
    trust=$1
    shift
    {
        printf '[estd]\ncerts_d = %s\nstate_dir = %s\nsocket = none\n' "$work/certs.d" "$work/state"
        printf '[defaults]\nurl = https://localhost:%s/.well-known/est\n' "$port"
        [ -z "$trust" ] || printf 'trust = %s\n' "$trust"
        [ $# -eq 0 ] || printf '%s\n' "$@"
    } >"$work/est.conf"
}

# cert_conf NAME LINE...: a certificate; LINEs are more of [certificate], and sections behind it
cert_conf() {
    name=$1
    shift
    [ -e "$work/$name.key" ] || new_key "$name"
    {
        printf '[certificate]\nkey = %s\nsubject = /CN=%s\n' "$work/$name.key" "$name"
        [ $# -eq 0 ] || printf '%s\n' "$@"
        printf '[install]\nfile = %s\n' "$work/installed/$name.pem"
    } >"$work/certs.d/$name.conf"
}

# once NAME: a step; what it says stays in $work/once.err, what all of them said in $work/all.err
once() {
    "$ESTD" -c "$work/est.conf" --once "$1" 2>"$work/once.err"
    code=$?
    cat "$work/once.err" >>"$work/all.err"
    cat "$work/once.err" >&2
    return $code
}

# enrolled NAME: the first enrolment of NAME succeeds, whatever was there before
enrolled() {
    rm -rf "$work/installed/$1.pem" "$work/state"
    once "$1" && openssl x509 -in "$work/installed/$1.pem" -noout -pubkey >"$work/$1.seen" &&
        openssl pkey -in "$work/$1.key" -pubout | cmp - "$work/$1.seen"
}

# refused WHAT TEXT NAME: an enrolment fails with TEXT and installs nothing
refused() {
    rm -rf "$work/installed/$3.pem" "$work/state"
    check_fails "$1" "$2" once "$3"
    [ ! -e "$work/installed/$3.pem" ] || not_ok "$1: something was installed"
}

# requests PATTERN: how many lines of the server's log match
requests() {
    grep -cE -- "$1" "$log"
}
