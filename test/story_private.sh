#!/bin/sh
# What a password, the value of a header and the private key of a file are is read where it is needed, and said nowhere: not in
# arguments, logs, messages, state, or any file that estd writes; and what is in its memory stays there.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need openssl strace base64 prlimit setpriv
umask 077
password=correct-horse-$(openssl rand -hex 8)
value=staple-$(openssl rand -hex 8)
echo "$password" >"$work/password"
echo "$value" >"$work/value"
echo "dev:$password" >"$work/users"
estca_start ca --auth any --user-file "$work/users" || skip_all "estca does not start"
mkdir "$work/tree" "$work/certs.d"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/dev.key" 2>"$work/err"
cat >"$work/estd.conf" <<CONF
[estd]
certs_d = $work/certs.d
state_dir = $work/tree/state
socket = $work/tree/estd.sock
metrics = $work/tree/estd.prom
[defaults]
url = https://localhost:$port/.well-known/est
trust = $work/ca/root.pem
CONF
conf() { # LINE-OF-AUTH...
    printf '[certificate]\nkey = %s\nsubject = /CN=dev\n[install]\nfile = %s\n[auth]\n' \
        "$work/dev.key" "$work/tree/dev.pem"
    printf '%s\n' "$@"
}
conf "user = dev" "password_file = $work/password" "header = Secret-Value" "header_file = $work/value" \
    >"$work/certs.d/dev.conf"

# A line each: the two, the password as Basic sends it, the key's body, in PEM and as the number that it is.
{
    printf '%s\n%s\n' "$password" "$value"
    printf 'dev:%s' "$password" | base64 -w 0
    echo
    grep -v -e ----- "$work/dev.key"
    openssl pkey -in "$work/dev.key" -noout -text | sed -n '/^priv:/,/^pub:/p' | grep '^ ' | tr -d ' :\n'
    echo
} >"$work/secrets"
# told FILE...: what of it stands there.
told() {
    grep -rnaoF -f "$work/secrets" "$@"
}
check_equal "what is looked for is found where it is" "$work/password:1:$password" "$(told -H "$work/password")"

# The system calls of a whole life with all that they say, but for what is read. A tracer without privileges may not look into a
# process that hides, so that call is left out.
strace -f -o "$work/trace" -s 65536 -e 'trace=!read,pread64,readv,recvfrom,recvmsg' -e inject=prctl:retval=0 \
    env ASAN_OPTIONS=detect_leaks=0 "$ESTD" -c "$work/estd.conf" --verbose >"$work/out" 2>"$work/log" &
pids="$pids $!"
tracer=$!
check "estd enrols by password and header" wait_for 30 grep -q 'dev: enrolled' "$work/log"
for pid in /proc/[0-9]*; do
    { tr '\0' ' ' <"$pid/cmdline"; echo; } 2>/dev/null
done >"$work/arguments"
check "its arguments are among those looked at" grep -qF -- "$ESTD -c $work/estd.conf" "$work/arguments"
check_equal "no process has a secret in its arguments" "" "$(told "$work/arguments")"
"$T2C" status --json --config "$work/estd.conf" >"$work/status" 2>&1
check "estd tells its status" grep -q '"dev"' "$work/status"
check_equal "without a secret" "" "$(told "$work/status")"
kill "$(sed -n 's/^\([0-9]*\) .*/\1/p' "$work/trace" | head -n 1)"
wait $tracer
check_equal "estd stops" 0 $?
check_equal "no secret in the log of --verbose" "" "$(told "$work/log" "$work/out")"
check_equal "none in the state and what is installed" "" "$(told "$work/tree")"
check "the trace has what is written" grep -q 'BEGIN CERTIFICATE' "$work/trace"
check_equal "none in what system calls were told" "" "$(told "$work/trace")"

# Messages.
rm "$work/tree/dev.pem"
once() { # WHAT TEXT
    check_fails "$1" "$2" "$ESTD" -c "$work/estd.conf" --verbose --once dev
    check_equal "$1: no secret in the messages" "" "$(told "$work/out" "$work/err" "$work/tree")"
}
sed -i "s/:.*/:another/" "$work/users"
estca_start other --auth any --user-file "$work/users"
sed -i "s|^url.*|url = https://localhost:$port/.well-known/est|; s|^trust.*|trust = $work/other/root.pem|" "$work/estd.conf"
once "a wrong password" "HTTP 401"
printf '%s\001\n' "$password" >"$work/password"
once "a password with a control character" "has a control character"
conf "user = dev" "password_file = $password" >"$work/certs.d/dev.conf"
once "the password in place of its file" "[auth] password_file: this is neither an absolute path"
conf "header = Secret-Value: $value" "header_file = $work/value" >"$work/certs.d/dev.conf"
once "the value beside the header's name" "this is not the name of a header"
conf "user = dev" "password_file = env:PASSWORD" >"$work/certs.d/dev.conf"
sed -i "s|^url.*|url = https://dev:$password@localhost:$port/.well-known/est|" "$work/estd.conf"
once "a password in the URL" "url"

# Memory. Whoever may not trace a process cannot read it either, nor does the kernel write its core. A process of the same user
# that does not hide is there to compare with.
cores=$(prlimit --core --raw --noheadings --output HARD)
private=
[ "$(id -u)" -ne 0 ] || private="setpriv --reuid=65534 --regid=65534 --clear-groups"
mkdir -m 777 "$work/hidden" "$work/open" "$work/state"
cp "$ESTD" "$work/estd"
echo public >"$work/password"
sed -i "s|^state_dir.*|state_dir = $work/state|; s|^url.*|url = https://localhost:1/|" "$work/estd.conf"
conf "user = dev" "password_file = $work/password" >"$work/certs.d/dev.conf"
chmod -R go+rX "$work"
# in_dir DIRECTORY COMMAND...: without privileges; sets $server.
in_dir() {
    # shellcheck disable=SC2086
    (cd "$1" && shift && exec prlimit --core="$cores:" $private "$@") >"$work/out" 2>"$work/log" &
    server=$!
    pids="$pids $server"
}
abort() {
    kill -ABRT "$server"
    wait "$server" 2>"$work/err"
}
in_dir "$work/open" sleep 1000
wait_for 15 grep -q sleep "/proc/$server/comm"
reader=$(stat -c %u "/proc/$server/mem")
check "the memory of another process is its user's" test "$reader" -ne 0
abort
in_dir "$work/hidden" "$work/estd" -c "$work/estd.conf"
check "estd runs without privileges" wait_for 20 grep -q 'started with 1 certificate' "$work/log"
check_equal "and only root may read its memory" 0 "$(stat -c %u "/proc/$server/mem")"
abort
check_equal "it is killed" 134 $?
if [ -n "$(ls "$work/open")" ]; then
    check_equal "it leaves no core file where another process does" "" "$(ls "$work/hidden")"
else
    skip "it leaves no core file" "no process leaves one here (core_pattern: $(cat /proc/sys/kernel/core_pattern))"
fi
finish
