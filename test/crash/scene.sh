# shellcheck shell=sh disable=SC2034,SC2154
# Scenes of the crash stories; sourced after harness.sh. A scene is a directory $work/NAME: the prepared tree, in tree; the
# configuration, where @TREE@ stands for the copy that a point works on; in pairs, the keys and certificates that belong
# together, as a reader finds them; in copies, what holds the same certificate in the end; in env, what test/crash/try wants to know,
# and functions that do what it does otherwise.

crash=$srcdir/test/crash
POINTS=$BUILD/points POWERLOSS=$BUILD/powerloss
# Every how many points; how many at a time.
every=${CRASH_EVERY:-10} at_a_time=${CRASH_JOBS:-4}

# crash_needs: what the driver needs from the machine.
crash_needs() {
    need openssl xargs timeout
    "$POINTS" --root "$work" true 2>"$work/err" || {
        [ $? -eq 77 ] || { cat "$work/err" >&2; exit 99; }
        skip_all "programs may not be traced here (ptrace): $(head -n 1 "$work/err")"
    }
}

# scene NAME: an empty one for the certificate dev, whose key is keys/dev.pem.
scene() {
    scene=$work/$1
    mkdir -p "$scene/tree/keys" "$scene/certs.d"
    cat >"$scene/estd.conf" <<CONF
[estd]
certs_d = @SLOT@/certs.d
state_dir = @TREE@/state
certs_dir = @TREE@/generations
aziot_config_dir = @TREE@/aziot
socket = none
[defaults]
url = https://localhost:$port/.well-known/est
trust = $work/ca/root.pem
CONF
    cat >"$scene/env" <<ENV
CA=$work/ca ROOT=$work/ca/root.pem ESTCA=$ESTCA ESTD=$ESTD T2C=$T2C DEPLOY=$BUILD/tpm2cloud-deploy POINTS=$POINTS PROVIDERS=
ENV
    : >"$scene/results"
    : >"$scene/pairs"
    : >"$scene/copies"
}

# scene_tpm: the scene has a TPM, which the story may use until scene_tpm_done. Paths of the tree are those of the prepared one.
scene_tpm() {
    mkdir -p "$scene/tpm-state"
    tpm_start "$scene/tpm-state"
    printf 'keys_dir = %s\ncerts_dir = %s\n' "$scene/tree/keys" "$scene/tree/generations" >"$TPM2CLOUD_CONF"
    printf 'keys_dir = @TREE@/keys\ncerts_dir = @TREE@/generations\n' >"$scene/tpm2cloud.conf"
    cat >>"$scene/env" <<ENV
tpm=yes PROVIDERS="-provider default -provider tpm2cloud"
export OPENSSL_MODULES=$OPENSSL_MODULES
ENV
}
scene_tpm_done() {
    tpm_pid=$(cat "$work/swtpm.pid")
    kill "$tpm_pid"
    wait_for 5 sh -c "! kill -0 $tpm_pid"
    rm -f "$work/swtpm.pid"
}

# own_conf: the scene's configuration for the prepared tree itself is in $scene/own.
own_conf() {
    mkdir -p "$scene/own/certs.d"
    for conf in "$scene"/*.conf "$scene/certs.d"/*.conf; do
        sed "s|@TREE@|$scene/tree|; s|@SLOT@|$scene/own|" "$conf" >"$scene/own${conf#"$scene"}"
    done
}

# sign_due REQUEST CERTIFICATE: one at 95 % of its lifetime.
sign_due() {
    "$ESTCA" sign "$work/ca" --csr "$1" --lifetime 8640000 --not-before -8208000 --out "$2"
}

# due KEY CERTIFICATE: a key in a file, and such a certificate.
due() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null
    chmod 600 "$1"
    openssl req -new -key "$1" -subj /CN=dev -addext subjectAltName=DNS:dev.example -out "$work/dev.csr"
    sign_due "$work/dev.csr" "$2"
}

# steady: the scene is one where estd has worked before.
steady() {
    "$crash/try" "$scene" whole 0
    mkdir -p "$scene/tree/state"
    cp "$scene/slot0/tree/state/state.cbor" "$scene/tree/state/"
}

# undisturbed WHAT: the renewal of the scene, as the others are compared with.
undisturbed() {
    "$crash/try" "$scene" whole 0
    check "$1: undisturbed" grep -q '^ok whole' "$scene/results"
    grep -q '^ok whole' "$scene/results"
}

# points_n KINDS: how many points there are, by the list of the undisturbed run. The peer's bytes come in more pieces at
# times, so a few more are tried.
points_n() {
    echo $(($(grep -cE "^[0-9]+ ($1) " "$scene/list") + $2))
}

# losses WHAT: what may be left when power is lost at any point of the undisturbed run.
losses() {
    lost "$1" || return 0
    check_equal "$1: what was reported as done outlasts a loss of power" "" \
        "$(while read -r _ cert; do cmp -s "$last/$cert" "$scene/done/$cert" || echo "$cert"; done <"$scene/pairs")"
}
# lost WHAT: tries these. Of trees that are alike, one is tried. $last is the tree of the end, without what was not synced.
lost() {
    mkdir -p "$scene/losses"
    "$POWERLOSS" "$scene/log" "$scene/tree" "$scene/losses" >"$scene/left" 2>"$work/err" || {
        not_ok "$1: power loss: $(cat "$work/err")"
        return 1
    }
    for left in "$scene/losses"/*; do
        sum=$(cd "$left" && { find . -printf '%p %m %l\n' | sort; find . -type f -exec sha256sum {} + | sort; } | sha256sum)
        grep -q "^$sum" "$scene/sums" 2>/dev/null || echo "$sum $left" >>"$scene/sums"
    done
    # shellcheck disable=SC2046
    tries loss $(awk -v every="$every" '(NR - 1) % every == 0 {print $3}' "$scene/sums")
    tried loss "$1: power lost at $(sed -n 's/^points //p' "$scene/left") points in $(($(wc -l <"$scene/left") - 1)) ways" \
        "different disks"
    last=$scene/losses/$(tail -n 2 "$scene/left" | sed -n 's/-names$/-nothing/p')
}

# tries KIND POINT...: in parallel.
tries() {
    kind=$1
    shift
    printf '%s\n' "$@" | xargs -P "$at_a_time" --process-slot-var=CRASH_SLOT -I '{}' "$crash/try" "$scene" "$kind" '{}'
}

# tried KIND WHAT [UNIT]: what came of it. Only a run of all points says so.
tried() {
    reached=$(grep -c "^\(ok\|FAIL\) $1 " "$scene/results")
    bad=$(grep -c "^FAIL $1 " "$scene/results")
    text="$2: $reached ${3:-points} tried, all of them; $bad failures"
    [ "$every" -eq 1 ] || text="$2: $reached ${3:-points} tried, one of $every; $bad failures"
    if [ "$reached" -gt 0 ] && [ "$bad" -eq 0 ]; then
        ok "$text"
    else
        not_ok "$text"
        grep "^FAIL $1 " "$scene/results" | sed 's/^/# /' | head -n 20
    fi
    [ "$every" -gt 1 ] || [ "$1" = loss ] || check "$2: and there are no more" grep -q "^end $1 " "$scene/results"
}

# points_of FIRST LAST: every so many of them.
points_of() {
    seq "$1" "$every" "$2"
}
