#!/bin/sh
# estd with a TPM that takes half a second for each command, and with servers that hang while the keys for them are loaded:
# nothing fails, nobody waits for longer than must be, and the control socket never waits for a TPM.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/trouble.sh"
need swtpm openssl tpm2_create tpm2_encodeobject /usr/bin/python3
tpm_start
trouble_keys one turning hang1 hang2 hang3
estca_start operator --client-ca "$work/factory/root.pem" --lifetime 60 || skip_all "estca does not start"
trouble_conf "url = https://localhost:$port/.well-known/est" "trust = $work/operator/root.pem" "window = 5-8"
cert_conf one tpm2cloud:one
cert_conf protected "tpm2cloud:protected?auth-source=file:$work/value"
estd_start
for cert in one protected; do
    check "$cert is enrolled" wait_for 20 grep -q "$cert: enrolled" "$log"
done

# ---- slow ----
echo 500 >"$work/delay"
renew "500 ms for each command" one protected
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
renew "while they hang" one protected
check_equal "and nothing has failed" 0 "$(count ": cannot ")"
check_equal "they hang still" "" "$(grep -F ': hang' "$log")"

# ---- the control socket, while the TPM is busy ----
only() { # NAME: this certificate alone is left
    for conf in "$work"/certs.d/*.conf; do
        [ "$conf" = "$work/certs.d/$1.conf" ] || rm "$conf"
    done
    kill -HUP $estd
}
runs() { # CODE...: they are the last commands, and the last one of them runs
    [ "$(tail -n $# "$work/commands" | tr '\n' ' ')" = "$* " ]
}
# All answers come while one command of the TPM runs: nothing else is said about time but how long they took.
answers() { # WHILE CODE...
    busy=$1
    shift
    tries=0
    while [ $tries -lt 5 ]; do
        tries=$((tries + 1))
        wait_for 60 runs "$@" || break
        commands=$(wc -l <"$work/commands")
        /usr/bin/python3 "$srcdir/test/control.py" "$work/estd.sock" time 100 >"$work/took" 2>"$work/err" || break
        [ "$(wc -l <"$work/commands")" -eq "$commands" ] && break # else it was near its end
    done
    check_equal "100 answers while $busy" "$commands" "$(wc -l <"$work/commands")"
    echo "# median and longest, in ms: $(cat "$work/took" "$work/err")"
}
only one
echo 1000 >"$work/delay"
answers "a handshake waits for a signature" 0000015d 0000015d
rm "$work/delay"
cert_conf turning tpm2cloud:turning
printf '[renew]\nrotate = yes\n' >>"$work/certs.d/turning.conf"
only turning
check "a certificate that gets another key each time" wait_for 20 grep -q "turning: enrolled" "$log"
echo 1000 >"$work/delay"
answers "a key is generated" 00000153
rm "$work/delay"
renew "with a new key" turning
check_equal "and nothing has failed" 0 "$(count ": cannot ")"
estd_stop
tpm_clean "after all that"
finish
