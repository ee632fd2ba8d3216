#!/bin/sh
# estd's two threads, as strace sees them: the main one never waits for a TPM, nor for anything but its events; the transfer
# thread waits for TPMs, but for no name server. Where this may have a network of its own, its name servers say nothing.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/trouble.sh"
if [ -z "${INSIDE:-}" ] && unshare -rmn true 2>/dev/null; then
    rm -rf "$work"
    INSIDE=1 exec unshare -rmn sh "$0"
fi
need swtpm openssl tpm2_create tpm2_encodeobject strace /usr/bin/python3
if grep -q '^INSTRUMENT = .*-fsanitize' "$BUILD/Makefile"; then skip_all "a sanitizer makes calls of its own"; fi
strace -o "$work/trace" true 2>/dev/null || skip_all "strace may not trace here"

tpm_start
trouble_keys one
if [ -n "${INSIDE:-}" ]; then
    ip link set lo up || skip_all "no network, not even a loop"
    printf 'nameserver 127.0.0.%d\n' 1 2 3 >"$work/resolv.conf"
    mount --bind "$work/resolv.conf" /etc/resolv.conf
    /usr/bin/python3 -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 53))
print("mute", flush=True)
time.sleep(1000)' >"$work/mute" &
    pids="$pids $!"
    wait_for 10 test -s "$work/mute"
fi
estca_start operator --client-ca "$work/factory/root.pem" --lifetime 60 || skip_all "estca does not start"
trouble_conf "url = https://localhost:$port/.well-known/est" "trust = $work/operator/root.pem" "window = 5-8"
cert_conf one tpm2cloud:one
cert_conf lost tpm2cloud:one "url = https://silent.example/est"
echo 1000 >"$work/delay"
env TPM2CLOUD_TCTI="$BUILD/.libs/tcti_count.so:$TPM2CLOUD_TCTI" T2C_TCTI_DELAY="$work/delay" \
    strace -D -f -T -o "$work/trace" "$ESTD" -c "$work/estd.conf" 2>"$log" &
estd=$!
pids="$pids $estd"
check "a certificate is enrolled by a TPM that takes 1 s for each command" wait_for 30 grep -q 'one: enrolled' "$log"
renew "so it goes on" one
if [ -n "${INSIDE:-}" ]; then
    check "the name of a server is not found" wait_for 30 grep -q 'lost: cannot enrol: .*Resolving timed out' "$log"
    renew "and on" one
else
    skip "the name of a server is not found" "no network of our own: unshare -rmn is not permitted"
fi
cp "$work/trace" "$work/until" # at its end it waits for the other thread
estd_stop

# long THREAD: its calls that took half a second or more, by name, but for its loop's.
long() {
    grep "^$1 " "$work/until" | sed -n 's/^[0-9]* *\(<... \)*\([a-z0-9_]*\).*<\([0-9.]*\)>$/\2 \3/p' |
        awk '$2 >= 0.5 && $1 != "epoll_wait" {print $1}' | sort | uniq -c
}
transfer=$(grep -F "connect(" "$work/until" | grep -F "$work/tpm\"" | sed 's/ .*//' | sort -u)
echo "# calls of the main thread: $(grep "^$estd " "$work/until" | sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' | sort | uniq -c | tr -s ' \n' ' ')"
check_equal "one thread talks to the TPM" 1 "$(echo "$transfer" | wc -w)"
check "and it is not the main one" test "$transfer" -ne $estd
# A medium may be slow, too; then these two wait, as they must.
check_equal "the main thread waits in its loop alone" "" "$(long $estd | grep -v -e ' fsync$' -e ' rename')"
check "it is the other one that waits for the TPM" sh -c "[ '$(long "$transfer" | grep -c nanosleep)' -eq 1 ]"
check_equal "which waits for no other thread" "" "$(long "$transfer" | grep futex)"
finish
