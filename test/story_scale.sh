#!/bin/sh
# Many certificates in one estd: each is renewed in its own window, by little memory and processor time, and afterwards the
# daemon does not wake up at all. 50 of them, or as many as $SCALE says; test/run --all takes 1,000.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need openssl /usr/bin/python3
n=${SCALE:-50}
if [ "$n" -gt 100 ]; then
    lifetime_s=100 idle_s=60 memory_kib=$((40 * 1024))
else
    lifetime_s=30 idle_s=20 memory_kib=$((12 * 1024))
fi
# measured CHECK WHAT ...: unless the build is instrumented, which takes memory and time of its own.
measured() {
    if grep -q '^INSTRUMENT = .*-fsanitize' "$BUILD/Makefile"; then
        skip "$2" "a sanitizer is at work, too"
    else
        "$@"
    fi
}

mkdir "$work/certs.d" "$work/keys" "$work/certs"
echo secret >"$work/password"
estca_start operator --auth any --user dev:secret --lifetime $lifetime_s || skip_all "estca does not start"
estca_pid=$!
cat >"$work/estd.conf" <<END
[estd]
certs_d = $work/certs.d
state_dir = $work/state
socket = $work/estd.sock
socket = $work/estd.sock
[defaults]
url = https://localhost:$port/.well-known/est
trust = $work/operator/root.pem
window = 60-80
END
i=0
while [ $i -lt "$n" ]; do
    i=$((i + 1))
    name=unit-$i
    openssl ecparam -name prime256v1 -genkey -noout -out "$work/keys/$name.pem"
    cat >"$work/certs.d/$name.conf" <<END
[certificate]
key = $work/keys/$name.pem
subject = /CN=$name
san = DNS:$name.example
[auth]
user = dev
password_file = $work/password
[install]
file = $work/certs/$name.pem
END
done

# Of a process: "switches" that it made itself, of all its threads; its "cpu" time in milliseconds; a line of its status.
switches() {
    sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' /proc/"$estd"/task/*/status | awk '{sum += $1} END {print sum}'
}
cpu_ms() {
    awk -v hz="$(getconf CLK_TCK)" '{print int(($14 + $15) * 1000 / hz)}' "/proc/$estd/stat"
}
kib() { # LINE
    sed -n "s/^$1:[[:space:]]*\([0-9]*\) kB/\1/p" "/proc/$estd/status"
}
reported() { # WHAT
    [ "$(grep -c ": $1, issuer" "$work/estd.log")" -ge "$n" ]
}

estd_stop() {
    kill $estd
    wait $estd
    check_equal "estd stops when told to" 0 $?
}

# ---- enrolment ----

# As its unit starts it.
# shellcheck disable=SC2046
env $(sed -n 's/^Environment=//p' "$srcdir/packaging/systemd/estd.service.in") "$ESTD" -c "$work/estd.conf" 2>"$work/estd.log" &
estd=$!
pids="$pids $estd"
began_s=$(date +%s)
check "$n certificates are enrolled" wait_for 60 reported enrolled
echo "# enrolled in $(($(date +%s) - began_s)) s, by $(cpu_ms) ms of processor time"

# The renewals bring certificates that last, so that there is an end to it.
kill $estca_pid
wait $estca_pid
"$ESTCA" serve "$work/operator" --port "$port" --log "$work/operator.log" --auth any --user dev:secret >/dev/null \
    2>>"$work/operator.err" &
pids="$pids $!"
check "before the first renewal" test $(($(date +%s) - began_s)) -lt $((lifetime_s * 60 / 100))

# ---- renewal ----

before_ms=$(cpu_ms)
check "$n certificates are renewed" wait_for $((lifetime_s + 30)) reported renewed
spent_ms=$(($(cpu_ms) - before_ms))
echo "# renewed by $spent_ms ms of processor time, $(awk "BEGIN {printf \"%.1f\", $spent_ms / $n}") ms each"

# When was each, in percent of the lifetime? The server's log has the times; notBefore has no fraction of a second.
cat >"$work/windows.py" <<'END'
import datetime, re, sys
lifetime_s, begun, shares = float(sys.argv[2]), {}, []
for line in open(sys.argv[1]):
    found = re.match(r'time=(\S+)Z op=(simple\w+) status=200 .* subject="CN=([^"]*)"', line)
    if not found:
        continue
    at_s = datetime.datetime.fromisoformat(found[1]).timestamp()
    if found[2] == 'simpleenroll':
        begun[found[3]] = int(at_s)
    elif found[3] in begun:
        shares.append((at_s - begun.pop(found[3])) * 100 / lifetime_s)
shares.sort()
print(len(shares), len(begun), shares[0], shares[-1])
quarters = [sum(1 for share in shares if low <= share < low + 5) for low in (60, 65, 70, 75)]
print(min(sum(quarters[:2]), sum(quarters[2:])), *quarters)
END
/usr/bin/python3 "$work/windows.py" "$work/operator.log" $lifetime_s >"$work/windows"
{
    read -r renewed left first last
    read -r fewest quarters
} <"$work/windows"
check_equal "each once, and by itself" "$n 0" "$renewed $left"
check_equal "no other request failed" "" "$(grep -v ' status=20[04] ' "$work/operator.log" | head -n 3)"
echo "# at $first to $last % of the lifetime; by quarters of the window: $quarters"
# A renewal takes a moment, and a queue of them may have formed on a machine that is busy: up to 5 s.
# The log is written a moment after notBefore, of which this knows the second.
check "none before its window" awk "BEGIN {exit !($first >= 60 - 100 / $lifetime_s)}"
check "none behind it" awk "BEGIN {exit !($last <= 80 + 500 / $lifetime_s)}"
check "spread over it, at least a fifth in each half" test "$fewest" -ge $((n / 5))
check_equal "all are installed" "$n" "$(find "$work/certs" -name '*.pem' | wc -l)"

# ---- what it takes ----

rss=$(kib VmRSS)
# Of newer libraries alone more pages are resident; what is estd's own stays the same.
case $(openssl version) in
"OpenSSL 3.0."*) ;;
*) memory_kib=$((memory_kib + 4096)) ;;
esac
echo "# memory: $rss KiB, of it $(kib RssAnon) KiB its own; at most $(kib VmHWM) KiB; $((rss * 1024 / n)) bytes per certificate"
measured check "$n certificates in $memory_kib KiB" test "$rss" -le "$memory_kib"

quiet() {
    was=$(switches)
    sleep 1
    [ "$(switches)" = "$was" ]
}
measured check "it comes to rest" wait_for 10 quiet
before=$(switches)
before_ms=$(cpu_ms)
sleep $idle_s
measured check_equal "idle, it does not wake up in $idle_s s" "$before" "$(switches)"
measured check_equal "nor use the processor" "$before_ms" "$(cpu_ms)"
estd_stop

# ---- with the watchdog ----

/usr/bin/python3 "$srcdir/test/control.py" "$work/notify" datagrams >"$work/notified" 2>/dev/null &
pids="$pids $!"
wait_for 10 test -s "$work/notified"
NOTIFY_SOCKET=$work/notify WATCHDOG_USEC=1000000 "$ESTD" -c "$work/estd.conf" 2>"$work/estd.log" &
estd=$!
pids="$pids $estd"
found() {
    [ "$(grep -c ': found a certificate' "$work/estd.log")" -eq "$n" ]
}
ticks() {
    grep -c WATCHDOG=1 "$work/notified"
}
check "all are found after a restart" wait_for 30 found
sleep 2
before=$(switches) before_ticks=$(ticks)
sleep 5
woken=$(($(switches) - before)) ticked=$(($(ticks) - before_ticks))
echo "# with a watchdog of 1 s it woke up $woken times in 5 s and sent $ticked messages"
check "it sends its messages" test $ticked -ge 5
measured check "and wakes up for nothing else" test $woken -le $((ticked + 1))
estd_stop
finish
