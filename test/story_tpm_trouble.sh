#!/bin/sh
# estd renews certificates of TPM keys while the TPM is not there, killed, reset, in lockout, or given a wrong value: it says
# what is wrong, goes on by itself, and locks nothing.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/trouble.sh"
need swtpm swtpm_ioctl openssl tpm2_create tpm2_encodeobject
tpm_start
trouble_keys one
estca_start operator --client-ca "$work/factory/root.pem" --lifetime 30 || skip_all "estca does not start"
trouble_conf "url = https://localhost:$port/.well-known/est" "trust = $work/operator/root.pem" "window = 5-8"
cert_conf one tpm2cloud:one
cert_conf protected "tpm2cloud:protected?auth-source=file:$work/value"

tells() { # TEXT: as a user asks, with the TPM as it is
    "$T2C" status --config "$work/estd.conf" 2>>"$work/status.err" | tr -s ' \n' ' ' | grep -qF -- "$1"
}
in_status() { # TEXT
    wait_for 10 tells "$1"
}
lockout_counter() {
    tpm2_getcap properties-variable | sed -n 's/^TPM2_PT_LOCKOUT_COUNTER: //p'
}

# ---- not there yet ----
tpm_state=$work/tpm-state
tpm_kill
estd_start
check "without a TPM, estd says so" wait_for 20 grep -q 'one: cannot enrol: .*no TPM at ' "$log"
check "and in its status" in_status "no TPM at"
tpm_start "$tpm_state"
for cert in one protected; do
    check "then $cert is enrolled" wait_for 60 grep -q "$cert: enrolled" "$log"
done
tpm2_dictionarylockout -s -n 30 -t 3600 -l 10

# ---- killed, reset ----
tpm_kill
check "the TPM is killed: estd says so" says "no TPM at"
check "and in its status" in_status "no TPM at"
check "a certificate is still installed" openssl x509 -in "$work/installed/one.pem" -noout
tpm_start "$tpm_state"
renew "it is started again" one protected
swtpm_ioctl --unix "$work/tpm.ctrl" -i
tpm2_startup -c
renew "the TPM is reset" one protected
# A TPM counts a reset that was not announced, when a protected key was used before. There were three.
check "the TPM has counted no more than its resets" test $(($(lockout_counter))) -le 3

# ---- lockout by somebody else ----
tpm2_dictionarylockout -c
tpm2_dictionarylockout -s -n 1 -t 3600 -l 10
head -c 32 /dev/zero >"$work/digest"
tpm2_load -Q -C 0x81000001 -u "$work/p.pub" -r "$work/p.priv" -c "$work/p.ctx"
tpm2_flushcontext -t
tpm2_sign -c "$work/p.ctx" -p wrong -g sha256 -d -o "$work/sig" "$work/digest" 2>/dev/null
tpm2_flushcontext -t
tpm2_flushcontext -l
check "lockout: estd says so, and what ends it" \
    says "it lets one more attempt through every 3600 s, and tpm2_dictionarylockout --clear-lockout"
check "and in its status" in_status "TPM in lockout"
renew "a key that lockout does not concern" one
tpm2_dictionarylockout -c
renew "without lockout" protected

# ---- a wrong value ----
tpm2_dictionarylockout -s -n 3 -t 3600 -l 10
printf 'wrong value\n' >"$work/value"
check "a wrong value: estd says so" says "the authorization value is wrong"
for i in 1 2 3; do
    check "and does not try it again, $i" says "refused its authorization value and is not asked again"
done
check "which is in its status" in_status "is not asked again, because that would lock it"
check_equal "the TPM has counted it once" 0x1 "$(lockout_counter)"
printf 'right value\n' >"$work/value"
renew "with the right one" protected
check_equal "and nothing more was counted" 0x1 "$(lockout_counter)"
estd_stop
tpm_clean "after all that"
finish
