#!/bin/sh
# Provisioning is killed after each system call that changes a file or tells the TPM or a server something, and run again: the end is the
# same, and no more certificates were issued than answers were lost.
#
# make check tries some points, `CRASH_EVERY=1 test/story_provision_crash.sh` all of them.
# shellcheck disable=SC1091,SC2034
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/provision.sh"
. "$srcdir/test/crash/scene.sh"
crash_needs
need swtpm openssl jq make
every=${FIRST_CRASH_EVERY:-${CRASH_EVERY:-40}} # those of a first enrolment take long
[ -z "$PRELOAD" ] || skip_all "a program under ptrace finds no leaks"

machine
servers || skip_all "estca does not start"
tpm_start
stand_ins
estd_files
provision_conf
# Each point has a name of its own for its device, so that the servers' logs tell who was issued what.
sed "s/^ek_roots.*/ek = skip\nservices = no/; s/^device_id = .*/device_id = @NAME@/; s|^\[idevid\]|&\nsubject = /serialNumber=1/CN=@NAME@|" \
    "$work/provision.conf" >"$work/wanted.conf"

scene=$work/provision
mkdir -p "$scene/tree" "$scene/certs.d"
cp -a "$root" "$scene/tree/root"
mkdir -p "$scene/tree/certs"
cp -a "$work/tpm-state" "$scene/tpm-state"
cp "$work/wanted.conf" "$scene/provision.conf"
sed "s|$root|@TREE@/root|; s|$work/|@TREE@/|; s|@TREE@/estd.sock|@SLOT@/estd.sock|" "$work/estd.conf" >"$scene/estd.conf"
printf 'keys_dir = @TREE@/keys\ncerts_dir = @TREE@/certs\nsystemctl = %s\n' "$work/bin/systemctl" >"$scene/tpm2cloud.conf"
: >"$scene/results"
: >"$scene/copies"
echo "keys/device-id.pem certs/device-id.pem" >"$scene/pairs"
cat >"$scene/env" <<ENV
ROOT=$work/operator/root.pem T2C=$T2C POINTS=$POINTS WORK=$work PATH=$PATH CERTD=$certd ROOT_DIR=$work
PROVIDERS="-provider default -provider tpm2cloud"
export OPENSSL_MODULES=$OPENSSL_MODULES TPM2CLOUD_ESTD_CONF=\$slot/estd.conf
tpm=yes optional=yes kinds=file,tell
name=\$kind-\${point}x
ENV
cat >>"$scene/env" <<'ENV'
# estd and tpm2cloud-deploy remove these when they have something to do the next time.
stays='.state.cbor.??????' stays_too='.device-id.??????'
undertake() {
    sed -i "s/@NAME@/$name/" "$slot/provision.conf"
    disturbed "$T2C" provision --config "$slot/provision.conf" --root "$tree/root"
}
issued() { # SERVER
    grep -c "op=simpleenroll status=200 .* subject=\"CN=$name[,\"]" "$WORK/$1.log"
}
# once SERVER ANSWER: once the answer is on the disk, nobody is asked again.
answers=
carry_on() {
    for pair in factory:enroll/idevid/answer.pem owner:certs/ldevid.pem operator:estd/deploy/requests/device-id.pem; do
        [ ! -s "$tree/${pair#*:}" ] || answers="$answers ${pair%%:*}"
    done
    "$T2C" provision --config "$slot/provision.conf" --root "$tree/root" --json >"$slot/report" 2>"$slot/daemon" ||
        end FAIL "it does not go on: $(tail -n 1 "$slot/daemon")"
}
completed() {
    state=$(jq -r '.result + ": " + (.steps | map(select(.state != "left out") | .state) | unique | join(" "))' "$slot/report")
    [ "$state" = "done: done" ] || end FAIL "the report says $state"
    for who in $answers; do
        [ "$(issued "$who")" -eq 1 ] || end FAIL "$who was asked again, though its answer was on the disk"
    done
    total=$(($(issued factory) + $(issued owner) + $(issued operator)))
    [ $total -ge 3 ] && [ $total -le 4 ] || end FAIL "$total certificates were issued, and 3 are in use"
    cmp -s "$tree/certs/device-id.pem" "$tree/${CERTD#"$ROOT_DIR"/}" || end FAIL "IoT Edge reads another certificate, or none"
    "$T2C" cert verify idevid --trust "$WORK/factory/root.pem" >"$slot/err" || end FAIL "the IDevID: $(head -n 1 "$slot/err")"
    "$T2C" cert verify ldevid --trust "$WORK/owner/root.pem" >"$slot/err" || end FAIL "the LDevID: $(head -n 1 "$slot/err")"
}
ENV

# changes: every so many of the points behind which something is another than before; then what is beyond the last one.
changes() {
    awk -v every="$every" '$3 !~ /^f(data)?sync$/ && $NF != -17 && n++ % every == 0 { print $1 }' "$scene/list"
    seq "$(points_n "file|peer" 1)" "$(points_n "file|peer" 3)"
}
if undisturbed "provisioning"; then
    # shellcheck disable=SC2046
    tries kill-after $(changes)
    tried kill-after "provisioning: killed after a system call"
fi
finish
