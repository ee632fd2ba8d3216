#!/bin/sh
# What somebody does by hand to the files of a running estd: another key in the place of a certificate's, a generation or a
# certificate deleted, a place to install that is not theirs. Nothing is lost that was not deleted, and where [auth] has a key
# and certificate of its own, nobody need do anything.
# shellcheck disable=SC1091,SC2154
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/estd.sh"
need openssl

ca_make ca || skip_all "no CA"
ca_serve ca --lifetime 3600 || skip_all "no EST server"
factory device ca
estd_conf "$work/ca/root.pem" "auth_key = $work/device.key" "auth_cert = $work/device.pem"
sock=$work/run/estd.sock
sed -i "s|^socket = none|socket = $sock\ncerts_dir = $work/certs|" "$work/est.conf"
export TPM2CLOUD_ESTD_CONF="$work/est.conf" TPM2CLOUD_TCTI="swtpm:path=$work/nobody"
cert_conf swapped
cert_conf lonely "[auth]" "user = dev" "password_file = $work/password"
cert_conf pump "[renew]" "rotate = yes"
printf 'secret\n' >"$work/password"

fits() { # KEY CERTIFICATE
    openssl x509 -in "$2" -noout -pubkey >"$work/one" && openssl pkey -in "$1" -pubout | cmp - "$work/one"
}
says() { # PATTERN FILE
    grep -qE -- "$1" "$2"
}
lonely_signed() { # OPTION...: a certificate that nobody may ask for anew
    openssl req -new -key "$work/lonely.key" -subj /CN=lonely -out "$work/lonely.csr" 2>"$work/err"
    "$ESTCA" sign "$work/ca" --csr "$work/lonely.csr" --out "$work/installed/lonely.pem" "$@"
}
lonely_signed
"$ESTD" -c "$work/est.conf" 2>"$work/estd.log" &
estd=$!
pids="$pids $estd"
check "all are enrolled" wait_for 20 sh -c "test -s '$work/installed/swapped.pem' && test -s '$work/installed/pump.pem'"

# ---- keys ----

cp "$work/swapped.key" "$work/before.key"
new_key swapped
check "with another key in its place a certificate is asked for by [auth]" "$T2C" renew swapped
check "it is told so" says "swapped: the certificate $work/installed/swapped.pem is not that of the key" "$work/estd.log"
check "and fits the new key" fits "$work/swapped.key" "$work/installed/swapped.pem"
rm -r "$work/certs/pump"
check "a generation that was deleted is made again" "$T2C" renew pump
check "key and certificate fit" fits "$work/certs/pump/current/key.pem" "$work/certs/pump/current/cert.pem"
check "the copy is the same" cmp "$work/certs/pump/current/cert.pem" "$work/installed/pump.pem"
cp "$work/lonely.key" "$work/before.key"
cp "$work/installed/lonely.pem" "$work/before.pem"
new_key lonely
check_fails "without an [auth] that may ask, somebody is told what to do" \
    "bring its key back, or have the new key certified: tpm2cloud enroll lonely" "$T2C" renew lonely
check "the certificate stays" cmp "$work/before.pem" "$work/installed/lonely.pem"
cp "$work/before.key" "$work/lonely.key"
check "with its key back it renews itself" "$T2C" renew lonely --now
check "and fits it" fits "$work/lonely.key" "$work/installed/lonely.pem"

# ---- certificates ----

rm "$work/installed/swapped.pem"
check "a certificate that was deleted" "$T2C" reload
check "is there again after a reload" wait_for 10 fits "$work/swapped.key" "$work/installed/swapped.pem"

lonely_signed --lifetime 60 --not-before -120
check "an expired one was put there" "$T2C" reload
expired() {
    "$T2C" status | grep -q '^lonely: its certificate has expired$'
}
check "status says so" wait_for 10 expired
check_fails "and of none else" "" sh -c "'$T2C' status | grep -v ^lonely | grep expired"

check "estd ends well" sh -c "kill $estd"
wait "$estd"
check_equal "with 0" 0 $?

# ---- another user ----

chmod 711 "$work"
chmod -R a+rX "$work/certs.d" "$work/est.conf" "$work/ca/root.pem"
if [ "$(id -u)" -eq 0 ] && setpriv --reuid=65534 --regid=65534 --clear-groups "$ESTD" --help >/dev/null 2>&1; then
    check_fails "an estd that may not use the state is told why" "was estd run by another user before? Give $work/state to" \
        setpriv --reuid=65534 --regid=65534 --clear-groups "$ESTD" -c "$work/est.conf" --once swapped
    chown 65534 "$work/state"
    check_fails "root does not get in the way of the user who runs it" "runuser -u $(id -un 65534) -- COMMAND" \
        "$ESTD" -c "$work/est.conf" --once swapped
else
    skip "users" "needs root to become another one"
fi
finish
