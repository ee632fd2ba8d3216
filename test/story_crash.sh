#!/bin/sh
# estd is stopped, or the disk fails, at every point of a renewal where that could matter: after each, readers find keys and
# certificates that fit each other, and the next start completes what was begun, without a human.
#
# make check tries one of ten points, `CRASH_EVERY=1 test/story_crash.sh` all of them.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/crash/scene.sh"
crash_needs
estca_start ca || skip_all "estca does not start"

# all_ways WHAT: kills, failures and losses of power, at every point of the scene.
all_ways() {
    undisturbed "$1"
    n=$(points_n "file|peer" 8)
    for when in before after; do
        # shellcheck disable=SC2046
        tries kill-$when $(points_of 1 "$n")
        tried kill-$when "$1: killed $when a system call"
    done
    n=$(points_n "file|read" 1)
    for errno in ENOSPC EIO EACCES; do
        # shellcheck disable=SC2046
        tries fail-$errno $(points_of 1 "$n")
        tried fail-$errno "$1: $errno at a file operation"
    done
    n=$(points_n "file" 1)
    # shellcheck disable=SC2046
    tries onward-ENOSPC $(points_of 1 "$n")
    tried onward-ENOSPC "$1: ENOSPC from a file operation on"
    losses "$1"
}

# conf LINE...: of the certificate's file, behind [install].
conf() {
    printf '[certificate]\nkey = @TREE@/keys/dev.pem\nsubject = /CN=dev\nsan = DNS:dev.example\n'
    printf '[auth]\nkey = %s\ncert = %s\n[install]\n' "$work/idevid.key" "$work/idevid.pem"
    printf '%s\n' "$@"
}
due "$work/idevid.key" "$work/idevid.pem"
cer=certd/certs/dev-$(printf dev | sha256sum | cut -d ' ' -f 1).cer

scene first
echo optional=yes >>"$scene/env"
cp "$work/idevid.key" "$scene/tree/keys/dev.pem"
mkdir "$scene/tree/certd"
conf "file = @TREE@/dev.pem" "certd = @TREE@/certd" "cert_id = dev" >"$scene/certs.d/dev.conf"
printf 'keys/dev.pem %s\n' dev.pem "$cer" >"$scene/pairs"
all_ways "first enrolment"

scene files
due "$scene/tree/keys/dev.pem" "$scene/tree/dev.pem"
mkdir "$scene/tree/certd" "$scene/tree/certd/certs"
cp "$scene/tree/dev.pem" "$scene/tree/$cer"
conf "file = @TREE@/dev.pem" "certd = @TREE@/certd" "cert_id = dev" >"$scene/certs.d/dev.conf"
printf 'keys/dev.pem %s\n' dev.pem "$cer" >"$scene/pairs"
steady
all_ways "key reused, two files"

# The command line makes a key in a file, and puts a certificate into the TPM's memory. It has no lock, so it does not clear away
# what may be another's that works at the same time.
scene command
scene_tpm
"$T2C" key create idevid >/dev/null
"$T2C" csr idevid --subject /CN=dev --out "$work/dev.csr"
"$ESTCA" sign "$work/ca" --csr "$work/dev.csr" --out "$scene/idevid.pem"
scene_tpm_done
cat >>"$scene/env" <<'ENV'
stays='.*.??????'
undertake() {
    # shellcheck disable=SC2016
    disturbed sh -c '"$0" key create fleet && "$0" cert import idevid "$1"' "$T2C" "$scene/idevid.pem"
}
carry_on() {
    { "$T2C" key create fleet && "$T2C" cert import idevid "$scene/idevid.pem"; } >"$slot/daemon" 2>&1 ||
        end FAIL "it does not complete: $(cat "$slot/daemon")"
}
completed() {
    "$T2C" csr fleet --subject /CN=fleet --out "$slot/csr" 2>"$slot/err" || end FAIL "the key does not work"
    openssl req -in "$slot/csr" -noout -verify >"$slot/err" 2>&1 || end FAIL "the signature is wrong"
    "$T2C" cert export idevid | cmp -s - "$scene/idevid.pem" || end FAIL "the certificate is not the imported one"
}
ENV
all_ways "a key and a certificate by tpm2cloud"
finish
