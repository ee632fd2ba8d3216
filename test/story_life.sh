#!/bin/sh
# A key outlives what happens to a device: many signatures, threads, forks, a TPM that is reset, busy, or gone for a moment.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm swtpm_ioctl openssl tpm2_startup
tpm_start
"$ESTCA" init "$work/pki" >/dev/null
for name in ldevid file; do
    "$T2C" key create $name >/dev/null
    "$T2C" csr $name --subject /CN=$name --out "$work/$name.csr"
    "$ESTCA" sign "$work/pki" --csr "$work/$name.csr" --out "$work/$name.crt"
done
life() { # TEST NAME [MORE]
    test=$1 name=$2
    shift 2
    with_conf "$BUILD/life" "$test" "tpm2cloud://$name" "$work/$name.crt" "$@"
}

for name in ldevid file; do
    check "$name: 8 threads x 200 signatures" life threads $name
    tpm_clean "$name: threads"
done
check "4 children x 50 signatures, and the parent goes on" life fork ldevid
check "children of a process with a thread in the TPM" life fork-in-threads ldevid
check "a child with a key file, of which each process loads its own" life fork file 1
tpm_clean "forks"
check "10,000 signatures without a resource manager" life many ldevid 10000
check "1,000 with a key file" life many file 1000
tpm_clean "many"
check "a program that gives nothing back" life once file
tpm_clean "it did not have to"

# ---- a TPM that is reset and goes away, while a program signs ----

oks() {
    grep -c '^ok$' "$work/until.$1"
}
# A further signature is made: not the one that was under way.
goes_on() { # NAME
    before=$(oks "$1")
    wait_for 15 sh -c "[ \$(grep -c '^ok\$' '$work/until.$1') -gt $((before + 3)) ]"
}
all_go_on() { # WHAT
    for name in ldevid file; do
        check "$name signs after $1" goes_on $name
    done
}
for name in ldevid file; do
    in_background env OPENSSL_CONF="$srcdir/packaging/openssl.cnf" "$BUILD/life" until "tpm2cloud://$name" \
        "$work/$name.crt" "$work/stop" >"$work/until.$name" 2>"$work/until.$name.err"
    eval "pid_$name=$server"
done
all_go_on "the start"
for i in 1 2 3 4 5 6 7 8 9 10; do
    swtpm_ioctl --unix "$work/tpm.ctrl" -i
    tpm2_startup -c
    all_go_on "reset $i"
done
for i in 1 2; do
    tpm2_shutdown
    swtpm_ioctl --unix "$work/tpm.ctrl" -i
    tpm2_startup
    all_go_on "suspend and resume $i"
done
for i in 1 2 3; do
    tpm_kill
    tpm_start
    all_go_on "the TPM was killed and started again, $i"
done
: >"$work/stop"
for name in ldevid file; do
    eval "wait \$pid_$name"
    check_equal "$name: the program ends well" 0 $?
    check_equal "$name: no signature was wrong" 0 "$(grep -c WRONG "$work/until.$name")"
    echo "# $name: $(oks $name) signatures, $(grep -c failed "$work/until.$name") calls failed"
done
tpm_clean "resets"

# ---- answers that pass by themselves, and those that do not ----

counting="$BUILD/.libs/tcti_count.so:swtpm:path=$work/tpm"
faulty() { # CODE:RC:TIMES COMMAND...: with a TPM that answers so.
    fault=$1
    shift
    TPM2CLOUD_TCTI=$counting T2C_TCTI_FAULT=$fault T2C_TCTI_LOG=$work/commands "$@"
}
signs() {
    grep -c 0000015d "$work/commands"
}
csr() {
    "$T2C" csr "$1" --subject /CN=x
}
for fault in 922 90a 908 920 923; do
    check "0x$fault passes" faulty 15d:$fault:12 csr ldevid
done
check "a busy TPM, and signals that interrupt the waiting" faulty 15d:920:7 life signals ldevid 1000
# It answers nothing for a while, not even who it is.
kill -STOP "$(cat "$work/swtpm.pid")"
(sleep 0.5; kill -CONT "$(cat "$work/swtpm.pid")") &
check "and the connecting" life signals ldevid 0
check "a TPM that is gone when it is written to" faulty 15d:a000a:2 life many ldevid 5
check "a TPM that is not started up yet" faulty 15d:100:3 csr ldevid
check "a transient object that is gone" faulty 15d:910:1 csr file
tpm_clean "one that was not"
check "all object slots taken for a moment" faulty 157:902:1 csr file
check_fails "a TPM that stays busy" "TPM answered 0x922" faulty 15d:922:100000 csr ldevid
check_fails "all object slots taken" "use a resource manager (device:/dev/tpmrm0), or tpm2_flushcontext -t" \
    faulty 157:902:1000 csr file
check_fails "a TPM that is never started up" "run tpm2_startup -c" faulty 15d:100:100000 csr ldevid
: >"$work/commands"
check_fails "lockout" "the TPM is in dictionary-attack lockout; it lets one more attempt through every" \
    faulty 15d:921:1000 csr ldevid
check_equal "is not tried again" 1 "$(signs)"
: >"$work/commands"
check_fails "a wrong authorization" "wants an authorization value" faulty 15d:98e:1000 csr ldevid
check_equal "is not tried again either" 1 "$(signs)"

# Answers that are no answers.
lying() { # CODE:OFFSET:BYTE COMMAND...: with a TPM that answers so.
    lie=$1
    shift
    TPM2CLOUD_TCTI=$counting T2C_TCTI_LIE=$lie "$@"
}
check_fails "handles in place of properties" "was asked for its properties and answered something else" \
    lying 17a:e:1 "$T2C" status
check_fails "commands in place of handles" "was asked for its handles and answered something else" \
    lying 17a:e:2 "$T2C" key list
check_fails "an RSA signature in place of one by ECDSA" "the TPM's answer does not fit its public key" \
    lying 15d:f:14 csr ldevid
"$T2C" key create rsa --alg rsa-2048 >/dev/null
check_fails "an RSA block that is too long" "the TPM answered with a number that is too long" lying 159:f:ff csr rsa

# The real thing: a key that the dictionary-attack logic protects, as TCG's IDevID is, and one that it does not.
tpm2_create -Q -C 0x81000001 -G ecc:ecdsa-sha256 -u "$work/da.pub" -r "$work/da.priv" \
    -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign'
tpm2_load -Q -C 0x81000001 -u "$work/da.pub" -r "$work/da.priv" -c "$work/da.ctx"
tpm2_flushcontext -t
tpm2_evictcontrol -Q -C o -c "$work/da.ctx" 0x81000010
tpm2_flushcontext -t
head -c 32 /dev/zero >"$work/digest"
sign_protected() {
    ssl dgst -sha256 -sign 'tpm2cloud:;handle=0x81000010' -out "$work/sig" "$work/digest"
}
tpm2_dictionarylockout -s -n 10 -t 3600 -l 10
for i in 1 2 3; do
    # The first use after a reset that was not announced answers RETRY, by nature.
    swtpm_ioctl --unix "$work/tpm.ctrl" -i
    tpm2_startup -c
    check "a protected key signs after unclean reset $i" sign_protected
done
tpm2_dictionarylockout -c
tpm2_dictionarylockout -s -n 1 -t 3600 -l 10
tpm2_sign -c 0x81000010 -p wrong -g sha256 -d -o "$work/sig" "$work/digest" 2>/dev/null
tpm2_flushcontext -t
tpm2_flushcontext -l
check_fails "in lockout it does not sign" "it lets one more attempt through every 3600 s" sign_protected
check "a noDA key still signs" csr ldevid
check "and a key file too" csr file
tpm2_dictionarylockout -c
tpm_clean "lockout"
finish
