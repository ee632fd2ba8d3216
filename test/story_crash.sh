#!/bin/sh
# estd is stopped, the disk fails, or power is lost, at every point of a renewal where that could matter: after each, readers find
# keys and certificates that fit each other, and the next start completes what was begun, without a human.
#
# make check tries one of ten points, `CRASH_EVERY=1 test/story_crash.sh` all of them; CRASH_SCENES="rotate first", those scenes.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/crash/scene.sh"
crash_needs
need swtpm
estca_start ca || skip_all "estca does not start"

# at_points KIND WHICH WHAT: tries KIND at every point of WHICH kinds, and a few more than there are.
at_points() {
    n=$(points_n "$2" 6)
    # shellcheck disable=SC2046
    tries "$1" $(points_of 1 "$n")
    tried "$1" "$3"
}
# most_ways WHAT: kills, a full disk, and losses of power, at every point of the scene; all_ways, other failures, too. That a call is
# over is seen before the next one; so one scene with kills behind calls is enough, as is one with EACCES.
most_ways() {
    undisturbed "$1" || return 0
    at_points kill-before "file|peer" "$1: killed before a system call"
    at_points full "file" "$1: ENOSPC at an operation that writes"
    losses "$1"
}
all_ways() {
    most_ways "$1"
    at_points kill-after "file|peer" "$1: killed after a system call"
    at_points fail-EIO "file|read" "$1: EIO at a file operation"
    at_points fail-EACCES "file|read" "$1: EACCES at a file operation"
    at_points full-on "file" "$1: ENOSPC from an operation that writes on"
}

# conf LINE...: of the certificate's file, behind [install].
conf() {
    printf '[certificate]\nkey = @TREE@/keys/dev.pem\nsubject = /CN=dev\nsan = DNS:dev.example\n'
    printf '[auth]\nkey = %s\ncert = %s\n[install]\n' "$work/idevid.key" "$work/idevid.pem"
    printf '%s\n' "$@"
}
due "$work/idevid.key" "$work/idevid.pem"
current=generations/dev/current
cer=certd/certs/dev-$(printf dev | sha256sum | cut -d ' ' -f 1).cer

# Nothing is there yet but a key; the state's directory is made, and certd's, and the server's CA is fetched and kept.
first() {
    scene first
    echo optional=yes >>"$scene/env"
    print=$(openssl x509 -in "$work/ca/root.pem" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g')
    sed -i "s|^trust = .*|trust_fingerprint = sha256:$print|" "$scene/estd.conf"
    cp "$work/idevid.key" "$scene/tree/keys/dev.pem"
    mkdir "$scene/tree/certd"
    conf "file = @TREE@/dev.pem" "certd = @TREE@/certd" "cert_id = dev" >"$scene/certs.d/dev.conf"
    printf 'keys/dev.pem %s\n' dev.pem "$cer" >"$scene/pairs"
    most_ways "first enrolment"
    at_points fail-EIO "file|read" "first enrolment: EIO at a file operation"
}

files() {
    scene files
    due "$scene/tree/keys/dev.pem" "$scene/tree/dev.pem"
    mkdir "$scene/tree/certd" "$scene/tree/certd/certs"
    cp "$scene/tree/dev.pem" "$scene/tree/$cer"
    conf "file = @TREE@/dev.pem" "certd = @TREE@/certd" "cert_id = dev" >"$scene/certs.d/dev.conf"
    printf 'keys/dev.pem %s\n' dev.pem "$cer" >"$scene/pairs"
    steady
    most_ways "key reused, two files"
    at_points fail-EIO "file|read" "key reused, two files: EIO at a file operation"
}

# generation: keys/dev.pem and dev.pem are in force.
generation() {
    mkdir -p "$scene/tree/generations/dev/gen-1"
    gen=$scene/tree/generations/dev/gen-1
    cp "$scene/tree/keys/dev.pem" "$gen/key.pem"
    cp "$scene/tree/dev.pem" "$gen/cert.pem"
    cat "$gen/key.pem" "$gen/cert.pem" >"$gen/combined.pem"
    chmod 600 "$gen/combined.pem"
    ln -s gen-1 "$scene/tree/generations/dev/current"
    { conf "file = @TREE@/dev.pem"; printf '[renew]\nrotate = yes\n'; } >"$scene/certs.d/dev.conf"
    printf '%s %s\n' "$current/combined.pem" "$current/combined.pem" "$current/key.pem" "$current/cert.pem" \
        >"$scene/pairs"
    echo dev.pem >"$scene/copies"
    echo begun=generations/dev/gen-2/key.pem >>"$scene/env"
}

rotate() {
    scene rotate
    due "$scene/tree/keys/dev.pem" "$scene/tree/dev.pem"
    generation
    steady
    all_ways "key rotated"
    twice key "its key was made" test -e generations/dev/gen-2/key.pem
    twice cert "its certificate had come" test -e generations/dev/gen-2/cert.pem
    twice link "it was in force" test generations/dev/current/cert.pem -ef generations/dev/gen-2/cert.pem
}
# twice NAME WHAT TEST...: the daemon that finds what was left when TEST first held is killed again.
twice() {
    before=$scene text="power lost when $2"
    name=$1
    shift 2
    for left in "$before/losses"/*; do
        (cd "$left" && "$@") && break
    done
    scene "twice_$name"
    cp "$before/env" "$before/pairs" "$before/copies" "$scene/"
    cp "$before/certs.d/dev.conf" "$scene/certs.d/"
    echo "old=$before/tree; undertake() { daemon_disturbed; }" >>"$scene/env"
    rm -rf "$scene/tree" && cp -a "$left" "$scene/tree"
    undisturbed "$text" && at_points kill-before "file|peer" "$text, then killed before a system call"
    scene=$before
}

# A server that lets the client wait, which is remembered, together with the key that the request was for. A minute of the daemon's
# is cut short.
pending() {
    scene pending
    due "$scene/tree/keys/dev.pem" "$scene/tree/dev.pem"
    generation
    cat >>"$scene/env" <<'ENV'
undertake() {
    rm -f "$slot/port"
    "$ESTCA" serve "$CA" --port-file "$slot/port" --log "$slot/log" --fault status=202@1 --fault retry-after=1 >"$slot/err" 2>&1 &
    server=$!
    while [ ! -s "$slot/port" ]; do sleep 0.01; done
    sed -i "s|localhost:[0-9]*|localhost:$(cat "$slot/port")|" "$slot/estd.conf"
    disturbed "$ESTD" -c "$slot/estd.conf" --once dev
    [ $status -ne 1 ] || ! grep -q 'HTTP 202' "$slot/first" || status=0
}
carry_on() {
    daemon_runs
    grep -q 'dev: renewed' "$slot/daemon" || "$ESTD" -c "$slot/estd.conf" --once dev >>"$slot/daemon" 2>&1 ||
        end FAIL "it is not renewed: $(tail -n 1 "$slot/daemon")"
}
ENV
    most_ways "a server that lets wait"
}

# The daemon from its start to its end, with all that --once has not.
daemon() {
    scene daemon
    due "$scene/tree/keys/dev.pem" "$scene/tree/dev.pem"
    conf "file = @TREE@/dev.pem" >"$scene/certs.d/dev.conf"
    sed -i 's|^socket = none|socket = @TREE@/control/estd.sock\nmetrics = @TREE@/estd.prom|' "$scene/estd.conf"
    echo 'keys/dev.pem dev.pem' >"$scene/pairs"
    echo 'undertake() { daemon_disturbed; }' >>"$scene/env"
    steady
    undisturbed "the daemon" || return 0
    at_points kill-before "file|peer" "the daemon: killed before a system call"
}

# What root installs, and the restart of a unit. The daemon asks again for what was not done, a minute later; here it is root who
# comes at once.
deploy() {
    scene deploy
    due "$scene/tree/keys/dev.pem" "$work/due.pem"
    mkdir "$scene/tree/here"
    conf "file = @TREE@/here/dev.pem" "leaf = @TREE@/here/leaf.pem" "deploy = yes" "restart = dev.service" \
        >"$scene/certs.d/dev.conf"
    echo "systemctl = @SLOT@/systemctl" >"$scene/tpm2cloud.conf"
    echo 'keys/dev.pem here/dev.pem' >"$scene/pairs"
    echo here/leaf.pem >"$scene/copies"
    own_conf
    ln -s /bin/true "$scene/own/systemctl"
    export TPM2CLOUD_CONF="$scene/own/tpm2cloud.conf"
    check "deployment by root: what was there" "$ESTD" -c "$scene/own/estd.conf" --once dev
    cp "$work/due.pem" "$scene/tree/state/deploy/requests/dev.pem"
    check "deployment by root: is installed" "$BUILD/tpm2cloud-deploy" -c "$scene/own/estd.conf"
    cat >>"$scene/env" <<'ENV'
undertake() {
    rm -f "$slot/restarts"
    printf '#!/bin/sh\necho "$*" >>"%s/restarts"\n' "$slot" >"$slot/systemctl"
    chmod 755 "$slot/systemctl"
    # shellcheck disable=SC2016
    disturbed sh -c '"$0" -c "$2" --once dev && "$1" -c "$2"' "$ESTD" "$DEPLOY" "$slot/estd.conf"
}
carry_on() {
    daemon_runs
    "$DEPLOY" -c "$slot/estd.conf" >>"$slot/daemon" 2>&1 || end FAIL "it is not done: $(cat "$slot/daemon")"
    grep -q dev.service "$slot/restarts" || end FAIL "the unit was not restarted"
}
ENV
    most_ways "deployment by root"
}

rotate_tpm() {
    scene rotate_tpm
    scene_tpm
    "$T2C" key create dev >/dev/null
    "$T2C" csr dev --subject /CN=dev --san DNS:dev.example --out "$work/dev.csr"
    sign_due "$work/dev.csr" "$scene/tree/dev.pem"
    scene_tpm_done
    generation
    sed -i 's|^key = @TREE@.*|key = tpm2cloud:dev|' "$scene/certs.d/dev.conf"
    steady
    most_ways "key of the TPM rotated"
}

# The command line makes a key in a file, and puts a certificate into the TPM's memory. It has no lock, so it does not clear away
# what may be another's that works at the same time.
command_line() {
    scene command_line
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
    most_ways "a key and a certificate by tpm2cloud"
}

for name in ${CRASH_SCENES:-first files rotate rotate_tpm pending daemon deploy command_line}; do
    $name
done
finish
