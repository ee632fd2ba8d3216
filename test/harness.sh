# shellcheck shell=sh disable=SC2034
# Shared by the shell stories: a fresh TPM for each, TAP lines, everything stopped by pid at the end.
#
# A story sources this file, then calls `check "what" command...` and the like, and ends with `finish`. It runs from any
# directory; the build is in $BUILD (default: the current directory), the sources in $srcdir.

set -u
export LC_ALL=C
BUILD=${BUILD:-$(pwd)}
srcdir=${srcdir:-$BUILD}
srcdir=$(cd "$srcdir" && pwd)
T2C=$BUILD/tpm2cloud
ESTD=$BUILD/estd/estd ESTCA=$BUILD/estca
PATH=$PATH:/usr/sbin:/sbin
# A module that was built with sanitizers wants their library before the program that loads it starts.
PRELOAD=
if grep -q '^INSTRUMENT = .*-fsanitize=address' "$BUILD/Makefile" 2>/dev/null; then
    PRELOAD="$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so)"
fi
checks=0 failures=0 pids=
work=$(mktemp -d "${TMPDIR:-/tmp}/tpm2cloud-test.XXXXXX") || exit 99

# is_ours PID: a process of this story still has this number, and not one of those that run beside it: there are 32,768 of them,
# which the kernel gives out again within minutes. It is our child, or says where we work.
is_ours() {
    grep -qs "^PPid:[[:space:]]*$$\$" "/proc/$1/status" || grep -qsF "$work" "/proc/$1/cmdline" "/proc/$1/environ"
}

# end_process PID: it is told to end; its exit status. It must not have ended before.
end_process() {
    if is_ours "$1"; then
        kill "$1"
        wait "$1" 2>/dev/null
    else
        wait "$1" 2>/dev/null
        echo "# process $1 had ended by itself, with status $?"
        return 1
    fi
}

clean_up() {
    status=$?
    trap - EXIT INT TERM
    for pid in $pids $(cat "$work/swtpm.pid" 2>/dev/null); do
        is_ours "$pid" && kill "$pid" && wait "$pid" 2>/dev/null
    done
    [ -n "${KEEP_WORK:-}" ] || rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# skip_all REASON: this story cannot run here. In CI that is a failure.
skip_all() {
    if [ "${CI:-}" = true ]; then
        echo "1..1"
        echo "not ok 1 - cannot run in CI: $1"
        exit 1
    fi
    echo "1..0 # SKIP $1"
    exit 0
}

# skip WHAT REASON: one check that cannot run here.
skip() {
    checks=$((checks + 1))
    echo "ok $checks - $1 # SKIP $2"
}

need() {
    for program in "$@"; do
        command -v "$program" >/dev/null || skip_all "$program is not installed"
    done
}

ok() {
    checks=$((checks + 1))
    echo "ok $checks - $1"
}

not_ok() {
    checks=$((checks + 1))
    failures=$((failures + 1))
    echo "not ok $checks - $1"
}

# check WHAT COMMAND...: the command must succeed.
check() {
    what=$1
    shift
    if "$@" >"$work/out" 2>"$work/err"; then
        ok "$what"
    else
        not_ok "$what"
        echo "# command: $*"
        awk '{ print "# " $0 }' "$work/out" "$work/err" | tail -n 20
    fi
}

# check_fails WHAT TEXT COMMAND...: the command must fail, by itself and not by a signal, and its stderr contain TEXT
# (anything, when TEXT is empty).
check_fails() {
    what=$1 text=$2
    shift 2
    "$@" >"$work/out" 2>"$work/err"
    code=$?
    if [ $code -ne 0 ] && [ $code -lt 126 ] && { [ -z "$text" ] || grep -qF -- "$text" "$work/err"; }; then
        ok "$what"
    else
        not_ok "$what (exit $code, wanted a message with: $text)"
        awk '{ print "# " $0 }' "$work/err"
    fi
}

# check_equal WHAT WANT HAVE
check_equal() {
    if [ "$2" = "$3" ]; then
        ok "$1"
    else
        not_ok "$1"
        printf 'want: %s\nhave: %s\n' "$2" "$3" | sed 's/^/# /' | head -n 20
    fi
}

finish() {
    echo "1..$checks"
    [ "$failures" -eq 0 ]
    exit
}

# wait_for SECONDS COMMAND...: polls until the command succeeds.
wait_for() {
    tries=$(($1 * 20))
    shift
    while ! "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.05
    done
}

# tpm_start [STATE]: a TPM on unix sockets in $work; blank, or with the state of the directory STATE.
tpm_start() {
    mkdir -p "$work/tpm-state"
    swtpm socket --tpm2 --tpmstate dir="${1:-$work/tpm-state}" --server type=unixio,path="$work/tpm" \
        --ctrl type=unixio,path="$work/tpm.ctrl" --flags not-need-init,startup-clear --pid file="$work/swtpm.pid" \
        --daemon 2>"$work/swtpm.log" || skip_all "swtpm does not start: $(cat "$work/swtpm.log")"
    wait_for 15 test -S "$work/tpm" || skip_all "swtpm does not listen"
    export TPM2CLOUD_TCTI="swtpm:path=$work/tpm" TPM2TOOLS_TCTI="swtpm:path=$work/tpm"
    export TPM2OPENSSL_TCTI="$TPM2CLOUD_TCTI"
    printf 'keys_dir = %s\ncerts_dir = %s\ndps_dir = %s\n' "$work/keys" "$work/certs" "$work/dps" >"$work/tpm2cloud.conf"
    export TPM2CLOUD_CONF="$work/tpm2cloud.conf"
    export OPENSSL_MODULES="$BUILD/.libs"
}

# tpm_made: a TPM as its maker ships it, for tpm_start, in $work/made: with certificates of swtpm's own CA, which is in $work/localca, and
# its roots in $work/roots.
tpm_made() {
    mkdir -p "$work/localca" "$work/made" "$work/roots"
    cat >"$work/localca.conf" <<END
statedir = $work/localca
signingkey = $work/localca/signkey.pem
issuercert = $work/localca/issuercert.pem
certserial = $work/localca/certserial
END
    : >"$work/localca.options"
    cat >"$work/setup.conf" <<END
create_certs_tool = $(command -v swtpm_localca)
create_certs_tool_config = $work/localca.conf
create_certs_tool_options = $work/localca.options
active_pcr_banks = sha256
END
    swtpm_setup --tpm2 --tpmstate "$work/made" --create-ek-cert --lock-nvram --config "$work/setup.conf" >/dev/null || return 1
    cp "$work/localca/swtpm-localca-rootca-cert.pem" "$work/localca/issuercert.pem" "$work/roots"
}

# tpm_stop: the TPM is gone; the next tpm_start has a blank one.
tpm_stop() {
    tpm_pid=$(cat "$work/swtpm.pid")
    kill "$tpm_pid"
    wait_for 15 sh -c "! kill -0 $tpm_pid"
    rm -rf "$work/tpm-state" "$work/swtpm.pid" "$work/keys" "$work/certs"
}

# tpm_kill: the TPM is gone as if it had crashed; the next tpm_start finds the state that it wrote last.
tpm_kill() {
    killed=$(cat "$work/swtpm.pid")
    kill -9 "$killed"
    wait_for 15 sh -c "! kill -0 $killed" # it holds the lock of its state till then
    rm -f "$work/tpm" "$work/tpm.ctrl"
}

# tpm_clean WHAT: nothing is left in the TPM but what is persistent.
tpm_clean() {
    check_equal "$1: no transient object or session is left" "" \
        "$(tpm2_getcap handles-transient 2>&1; tpm2_getcap handles-loaded-session 2>&1)"
}

# stock COMMAND...: a program that is not ours and loads a module of ours.
stock() {
    if [ -n "$PRELOAD" ]; then
        env LD_PRELOAD="$PRELOAD" ASAN_OPTIONS=detect_leaks=0 "$@"
    else
        "$@"
    fi
}

# in_background COMMAND...: starts a stock program, not a function, so that its pid is its own; sets $server.
in_background() {
    if [ -n "$PRELOAD" ]; then
        env LD_PRELOAD="$PRELOAD" ASAN_OPTIONS=detect_leaks=0 "$@" &
    else
        "$@" &
    fi
    server=$!
    pids="$pids $server"
}

# ssl COMMAND...: the stock openssl with our provider beside the default one.
ssl() {
    verb=$1
    shift
    stock openssl "$verb" -provider default -provider tpm2cloud "$@"
}

# with_conf COMMAND...: a stock program with our openssl.cnf.
with_conf() {
    stock env OPENSSL_CONF="$srcdir/packaging/openssl.cnf" "$@"
}
conf_ssl() {
    with_conf openssl "$@"
}

# estca_start NAME ARGUMENTS...: a CA in $work/NAME, serving; sets $port, and $estca to its pid. Its log is $work/NAME.log.
estca_start() {
    ca=$1
    shift
    "$ESTCA" init "$work/$ca" --name "$ca" >/dev/null || return 1
    rm -f "$work/$ca.port"
    "$ESTCA" serve "$work/$ca" --port-file "$work/$ca.port" --log "$work/$ca.log" "$@" >/dev/null 2>"$work/$ca.err" &
    estca=$!
    pids="$pids $estca"
    wait_for 10 test -s "$work/$ca.port" || {
        sed 's/^/# /' "$work/$ca.err"
        return 1
    }
    port=$(cat "$work/$ca.port")
}

# estca_stop: the last one that was started is gone.
estca_stop() {
    end_process "$estca"
}
