# shellcheck shell=sh disable=SC2034,SC2153,SC2154
# Shared by the stories of estd and a TPM in trouble; sourced after harness.sh. The LDevID is at a handle; one, two and others are
# loaded from key files; "protected" is one that counts wrong values, as the keys that we make do not.

# trouble_keys NAME...: the TPM's keys; the halves of the protected one are $work/p.pub and p.priv.
trouble_keys() {
    "$ESTCA" init "$work/factory" --name factory >/dev/null
    for name in ldevid "$@"; do
        check "key create $name" "$T2C" key create "$name"
    done
    printf 'right value\n' >"$work/value"
    tpm2_create -Q -C 0x81000001 -G ecc:ecdsa-sha256 -p 'right value' -u "$work/p.pub" -r "$work/p.priv" \
        -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign'
    tpm2_encodeobject -C 0x81000001 -u "$work/p.pub" -r "$work/p.priv" -o "$work/keys/protected.pem" >/dev/null
    tpm2_flushcontext -l
    "$T2C" csr ldevid --subject /CN=unit --out "$work/ldevid.csr"
    "$ESTCA" sign "$work/factory" --csr "$work/ldevid.csr" --out "$work/ldevid.pem"
    check "the LDevID's certificate" "$T2C" cert import ldevid "$work/ldevid.pem"
    mkdir -p "$work/certs.d" "$work/installed"
}

# trouble_conf LINE...: estd.conf, whose [defaults] end with the lines.
trouble_conf() {
    printf '%s\n' '[estd]' "certs_d = $work/certs.d" "state_dir = $work/state" "certs_dir = $work/certs" "socket = $work/estd.sock" \
        '[defaults]' \
        "$@" >"$work/estd.conf"
}

# cert_conf NAME KEY LINE...: a certificate, whose section has the lines.
cert_conf() {
    name=$1 key=$2
    shift 2
    printf '%s\n' '[certificate]' "key = $key" "subject = /CN=$name" "$@" '[auth]' 'key = tpm2cloud:ldevid' \
        'cert = tpm2cloud:ldevid' '[install]' "file = $work/installed/$name.pem" >"$work/certs.d/$name.conf"
}

# estd_start: in the background; $estd, and its $log. A number in $work/delay makes the TPM slower by so many milliseconds.
log=$work/estd.log
estd_start() {
    env TPM2CLOUD_TCTI="$BUILD/.libs/tcti_count.so:$TPM2CLOUD_TCTI" T2C_TCTI_DELAY="$work/delay" \
        T2C_TCTI_LOG="$work/commands" "$ESTD" -c "$work/estd.conf" 2>"$log" &
    estd=$!
    pids="$pids $estd"
}

estd_stop() {
    check "estd is the one that was started" kill -0 "$estd"
    kill "$estd"
    wait "$estd"
    check_equal "and stops when told to" 0 $?
}

# count TEXT: lines with it in estd's log.
count() {
    grep -cF -- "$1" "$log"
}
# says TEXT: a further line.
says() {
    wait_for 20 sh -c "[ \$(grep -cF -- '$1' '$log') -gt $(count "$1") ]"
}
has_renewed() { # NAME TIMES
    [ "$(count "estd: $1: renewed")" -ge "$2" ]
}
# renew WHAT NAME...: each twice from now on, since the first renewal may have begun before.
renew() {
    after=$1
    shift
    wanted=
    for cert in "$@"; do
        wanted="$wanted $cert:$(($(count "estd: $cert: renewed") + 2))"
    done
    for cert in $wanted; do
        check "$after: ${cert%:*} is renewed" wait_for 60 has_renewed "${cert%:*}" "${cert#*:}"
    done
}
