#!/bin/sh
# estd with a TPM that takes half a second for each command, and with servers that hang while the keys for them are loaded:
# nothing fails, and nobody waits for longer than must be.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/trouble.sh"
need swtpm openssl tpm2_create tpm2_encodeobject
tpm_start
trouble_keys one two hang1 hang2 hang3
estca_start operator --client-ca "$work/factory/root.pem" --lifetime 60 || skip_all "estca does not start"
trouble_conf "url = https://localhost:$port/.well-known/est" "trust = $work/operator/root.pem" "window = 5-8"
cert_conf one tpm2cloud:one
cert_conf two tpm2cloud:two
cert_conf protected "tpm2cloud:protected?auth-source=file:$work/value"
estd_start
for cert in one two protected; do
    check "$cert is enrolled" wait_for 20 grep -q "$cert: enrolled" "$log"
done

# ---- slow ----
echo 500 >"$work/delay"
renew "500 ms for each command" one two protected
check_equal "without a failure" 0 "$(count ": cannot ")"
rm "$work/delay"

# ---- servers that hang ----
estca_start mute --client-ca "$work/factory/root.pem" --fault delay=100000 || skip_all "estca does not start"
for name in hang1 hang2 hang3; do
    cert_conf $name tpm2cloud:$name "url = https://localhost:$port/.well-known/est" "trust = $work/mute/root.pem"
done
kill -HUP $estd
hang() {
    [ "$(grep -c op=simpleenroll "$work/mute.log")" -eq 3 ]
}
check "three more keys are used for requests that are not answered" wait_for 20 hang
renew "while they hang" one two protected
check_equal "and nothing has failed" 0 "$(count ": cannot ")"
check_equal "they hang still" "" "$(grep -F ': hang' "$log")"
estd_stop
tpm_clean "after all that"
finish
