#!/bin/sh
# keyd is stopped, the disk fails, or power is lost, at every point of what libaziot_keys changes: no key is lost or half written,
# and the same call, from a keyd that was started again, finishes what was begun.
#
# make check tries some points, `CRASH_EVERY=1 test/story_aziot_crash.sh` all of them; CRASH_SCENES="move import", those scenes.
# shellcheck disable=SC1091,SC2034
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/crash/scene.sh"
crash_needs
need swtpm tpm2_flushcontext
every=${CRASH_EVERY:-30}
CALLS=$BUILD/aziot_calls LIBRARY=$BUILD/.libs/libaziot_keys.so
[ -z "$PRELOAD" ] || skip_all "a program under ptrace finds no leaks"

tpm_start
"$T2C" key create srk >/dev/null
# Each slot has a TPM that is like this one, where the scenes are prepared.
mkdir "$work/tpms"
for slot in $(seq 0 $((at_a_time - 1))); do
    cp -a "$work/tpm-state" "$work/tpms/$slot.state"
    swtpm socket --tpm2 --tpmstate dir="$work/tpms/$slot.state" --server type=unixio,path="$work/tpms/$slot" \
        --ctrl type=unixio,path="$work/tpms/$slot.ctrl" --flags not-need-init,startup-clear 2>"$work/tpms/$slot.log" &
    pids="$pids $!"
    wait_for 15 test -S "$work/tpms/$slot" || skip_all "swtpm does not listen"
done
# aziot HOMEDIR CALL...: prints what it answers.
aziot() {
    home=$1
    shift
    "$CALLS" "$LIBRARY" "$home" calls "$@"
}
point_of() { # HOMEDIR ID
    aziot "$1" "point:$2" | sed -n 's/^point //p'
}

record_of() { # ID
    echo "home/keys/$1-$(printf %s "$1" | sha256sum | cut -d' ' -f1).tpm"
}

# aziot_scene NAME CALL: an empty one; more of its env comes from the standard input.
aziot_scene() {
    scene=$work/$1
    mkdir -p "$scene/tree/home"
    printf 'keys_dir = %s\n' "$work/keys" >"$scene/tpm2cloud.conf"
    : >"$scene/results"
    : >"$scene/pairs"
    cat >"$scene/env" <<ENV
POINTS=$POINTS PROVIDERS= CALLS=$CALLS LIBRARY=$LIBRARY TPMS=$work/tpms CALL=$2
. $crash/aziot.sh
ENV
}

at_points() { # KIND WHICH WHAT
    n=$(points_n "$2" 3)
    # shellcheck disable=SC2046
    tries "$1" $(points_of 1 "$n")
    tried "$1" "$3"
}
all_ways() { # WHAT
    undisturbed "$1" || return 0
    at_points kill-before "file|peer" "$1: killed before a system call"
    at_points full "file" "$1: ENOSPC at an operation that writes"
    at_points full-on "file" "$1: ENOSPC from an operation that writes on"
    at_points fail-EIO "file|read" "$1: EIO at a file operation"
    lost "$1"
    check "$1: what was reported as done outlasts a loss of power" diff -r "$last/home" "$scene/done/home"
}

create() {
    aziot_scene create create:X
    echo "begun=$(record_of X)" >>"$scene/env"
    cat >>"$scene/env" <<'ENV'
stands() { missing load:X || aziot sign:X || end FAIL "$1, the key is no good"; }
is_done() { aziot sign:X; }
ENV
    all_ways "create a key pair"
}

create_key() {
    aziot_scene create_key create-key:K
    echo "begun=$(record_of K)" >>"$scene/env"
    cat >>"$scene/env" <<'ENV'
stands() { missing load-key:K || aziot hmac:K || end FAIL "$1, the key is no good"; }
is_done() { aziot hmac:K; }
ENV
    all_ways "create a key"
}

move() {
    aziot_scene move move:X-temp:X
    aziot "$scene/tree/home" create:X create:X-temp >/dev/null
    echo "old=$(point_of "$scene/tree/home" X) new=$(point_of "$scene/tree/home" X-temp)" >>"$scene/env"
    cat >>"$scene/env" <<'ENV'
stands() {
    if is X-temp "$new"; then
        is X "$old" || end FAIL "$1, X is not the old one"
    else
        missing load:X-temp || end FAIL "$1, X-temp is no good"
        is X "$new" || end FAIL "$1, X is not the new one"
    fi
}
is_done() { is X "$new" && missing load:X-temp; }
again() { is_done || aziot "$CALL" || end FAIL "it does not go on: $(tail -n 1 "$slot/daemon")"; }
ENV
    all_ways "move a key pair onto another"
}

delete() {
    aziot_scene delete delete:X
    aziot "$scene/tree/home" create:X create:Y >/dev/null
    echo "old=$(point_of "$scene/tree/home" X) other=$(point_of "$scene/tree/home" Y)" >>"$scene/env"
    cat >>"$scene/env" <<'ENV'
stands() {
    missing load:X || is X "$old" || end FAIL "$1, X is no good"
    is Y "$other" || end FAIL "$1, Y is no good"
}
is_done() { missing load:X; }
ENV
    all_ways "delete a key pair"
}

import() {
    aziot_scene import import:K
    aziot "$scene/tree/home" create-key:K >/dev/null
    old=$(aziot "$scene/tree/home" hmac:K | sed -n 's/^hmac //p')
    key=010203$(head -c 29 /dev/zero | od -An -v -tx1 | tr -d ' \n') # as test/aziot_calls.c has it
    { printf '\001\002\003'; head -c 29 /dev/zero; } >"$work/message"
    new=$(openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -r <"$work/message" | cut -d' ' -f1)
    echo "old=$old new=$new" >>"$scene/env"
    cat >>"$scene/env" <<'ENV'
stands() {
    case $(hmac_of K) in "$old" | "$new") ;; *) end FAIL "$1, K is neither the old one nor the new one" ;; esac
}
is_done() { [ "$(hmac_of K)" = "$new" ]; }
ENV
    all_ways "import a key in place of another"
}

# The preloaded file is no record, so it is written and then the record removed; between, both are the same key.
move_out() {
    aziot_scene move_out move:X-temp:X
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$scene/tree/x.pem" 2>/dev/null
    "$CALLS" "$LIBRARY" "$scene/tree/home" "preloaded_key:X=file://$scene/tree/x.pem" calls create:X-temp point:X >"$work/out"
    echo "old=$(sed -n 's/^point //p' "$work/out") new=$(point_of "$scene/tree/home" X-temp)" >>"$scene/env"
    cat >>"$scene/env" <<'ENV'
params=preloaded_key:X=file://$tree/x.pem
stands() {
    if is X-temp "$new"; then
        is X "$old" || is X "$new" || end FAIL "$1, X is neither"
    else
        missing load:X-temp || end FAIL "$1, X-temp is no good"
        is X "$new" || end FAIL "$1, X is not the new one"
    fi
}
is_done() { is X "$new" && missing load:X-temp; }
again() { is_done || aziot "$CALL" || end FAIL "it does not go on: $(tail -n 1 "$slot/daemon")"; }
ENV
    all_ways "move a key pair onto a preloaded file"
}

# stock ID: the path of its file as the stock library has it, in a tree that has it.
stock() {
    mkdir -p "$scene/tree/home/keys"
    path=$(record_of "$1")
    echo "stock=${path%.tpm}.key" >>"$scene/env"
    echo "$scene/tree/${path%.tpm}.key"
}
# A file of the stock library, or what became of it when its key was in the TPM, is there at any time, byte for byte. It has
# another name (.migrated.2) where it could not be seen whether there is one already.
keeps_stock() {
    echo "stays='*.migrated.2'" >>"$scene/env"
    cat >>"$scene/env" <<'ENV'
stands() {
    cmp -s "$scene/tree/$stock" "$tree/$stock" || cmp -s "$scene/tree/$stock" "$tree/$stock.migrated"* ||
        end FAIL "$1, the stock library's file is lost"
    works || end FAIL "$1, the key is no good: $(tail -n 1 "$slot/daemon")"
}
is_done() { works && [ ! -e "$tree/$stock" ] && ls "$tree/$stock.migrated"* >"$slot/err"; }
ENV
}

migrate() {
    aziot_scene migrate sign:X
    file=$(stock X)
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$file" 2>/dev/null
    point=$(openssl ec -in "$file" -pubout -conv_form compressed -outform der 2>/dev/null | tail -c 33 |
        od -An -v -tx1 | tr -d ' \n')
    echo "works() { is X $point; }" >>"$scene/env"
    keeps_stock
    all_ways "a key pair of the stock library comes into the TPM"
}

migrate_key() {
    aziot_scene migrate_key hmac:K
    file=$(stock K)
    head -c 32 /dev/urandom >"$file"
    { printf '\001\002\003'; head -c 29 /dev/zero; } >"$work/message"
    key=$(od -An -v -tx1 "$file" | tr -d ' \n')
    mac=$(openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -r <"$work/message" | cut -d' ' -f1)
    echo "works() { [ \"\$(hmac_of K)\" = $mac ]; }" >>"$scene/env"
    keeps_stock
    all_ways "a symmetric key of the stock library comes into the TPM"
}

for name in ${CRASH_SCENES:-create create_key move delete import move_out migrate migrate_key}; do
    $name
done
finish
