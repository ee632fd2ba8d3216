#!/bin/sh
# The unit of estd forbids what estd does not need, and nothing that it does need: under the unit's own filter of system calls,
# where a call that is not in it ends the process, estd enrols, renews, rotates and answers, with keys in files and in the TPM.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/dps.sh"
need swtpm openssl systemd-analyze setpriv
unset NOTIFY_SOCKET JOURNAL_STREAM
[ -x "$BUILD/sandbox" ] || skip_all "built without libseccomp (Debian package libseccomp-dev)"
[ -z "$PRELOAD" ] || skip_all "sanitizers need system calls of their own"
unit=$BUILD/packaging/systemd/estd.service

# ---- what the unit says ----

mkdir "$work/units"
for name in estd.service tpm2cloud-deploy.service; do
    sed "s|^ExecStart=[^ ]*|ExecStart=/bin/true|" "$BUILD/packaging/systemd/$name" >"$work/units/$name"
done
cp "$srcdir/packaging/systemd/tpm2cloud-deploy.path" "$work/units"
check "systemd knows all that the units say" systemd-analyze verify "$work/units/estd.service" \
    "$work/units/tpm2cloud-deploy.service" "$work/units/tpm2cloud-deploy.path"
check_equal "without a word" "" "$(cat "$work/out" "$work/err")"
if systemd-analyze --help | grep -q -- '--offline'; then
    systemd-analyze --no-pager security --offline=true "$work/units/estd.service" >"$work/security"
    exposure=$(sed -n 's/.*Overall exposure level for estd.service: \([0-9.]*\) .*/\1/p' "$work/security")
    echo "# exposure of estd.service: $exposure"
    check "its exposure is 1.5 at most" awk "BEGIN {exit !(\"$exposure\" != \"\" && $exposure <= 1.5)}"
else
    skip "its exposure is 1.5 at most" "this systemd-analyze judges only what runs"
fi

# ---- the filter refuses ----

sandbox() {
    "$BUILD/sandbox" "$unit" "$@"
}
deadly() {
    "$BUILD/sandbox" --kill "$unit" "$@"
}
check "the filter lets a program run" deadly id
touch "$work/file"
check_fails "it refuses another owner" "Operation not permitted" sandbox chown "$(id -un)" "$work/file"
check_fails "and another namespace, or root" "" sandbox chroot / true
deadly chown "$(id -un)" "$work/file" 2>"$work/err"
check_equal "a call that is refused can be made deadly" 159 $?
if [ "$(getconf LONG_BIT)" = 32 ]; then
    # systemd.exec(5), RestrictAddressFamilies=: sockets of 32-bit x86 are made by socketcall, whose arguments no filter sees.
    skip "a socket of another kind" "a filter does not see the family of a socket here"
else
    check_fails "a socket of another kind" "Address family not supported" sandbox /usr/bin/python3 -c \
        'import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)'
fi

# ---- and estd needs nothing of that ----

tpm_start
chmod 755 "$work"
chmod 666 "$work/tpm" "$work/tpm.ctrl"
estca_start plant --auth any --user device:secret --lifetime 30 || skip_all "estca does not start"
echo secret >"$work/password"
mkdir -p "$work/certs.d" "$work/home"
sed -i "s|^certs_dir = .*|certs_dir = $work/home/certs|" "$work/tpm2cloud.conf"
as_estd=
if [ "$(id -u)" -eq 0 ] && setpriv --reuid=nobody --regid=nogroup --clear-groups "$ESTD" --help >/dev/null 2>&1; then
    as_estd="setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all --bounding-set=-all"
    chown nobody:nogroup "$work/home"
fi
cat >"$work/estd.conf" <<END
[estd]
certs_d = $work/certs.d
state_dir = $work/home/state
certs_dir = $work/home/certs
socket = $work/home/estd.sock
metrics = $work/home/estd.prom
[defaults]
url = https://localhost:$port/.well-known/est
trust = $work/plant/root.pem
user = device
password_file = $work/password
END
cert_conf() { # NAME KEY ROTATE INSTALL...
    printf '[certificate]\nkey = %s\nsubject = /CN=%s\n[renew]\nwindow = 20-40\nrotate = %s\n[install]\n%s\n' "$2" "$1" "$3" "$4" \
        >"$work/certs.d/$1.conf"
}
openssl genpkey -algorithm EC -pkeyopt group:P-256 -out "$work/home/file.key" 2>"$work/err"
chmod 644 "$work/home/file.key"
"$T2C" key create staying >/dev/null
chmod -R a+rX "$work/keys"
cert_conf file "$work/home/file.key" no "file = $work/home/file.pem"
cert_conf turning "$work/home/file.key" yes "ca = $work/home/ca.pem"
cert_conf staying tpm2cloud:staying no "file = $work/home/staying.pem"
cert_conf pump tpm2cloud:pump yes "leaf = $work/home/pump.pem"
if dps_can && dps_start; then
    enrolled "group pumps $work/plant/root.pem hub=h1.example retry_after="
    chmod 755 "$work/dps" && chmod 644 "$dps_ca"
    printf 'dps_dir = %s\n' "$work/home/dps" >>"$work/tpm2cloud.conf"
    printf 'dps = yes\ndps_scope = %s\ndps_endpoint = %s\ndps_trust = %s\n' "$scope" "$dps_url" "$dps_ca" >>"$work/certs.d/pump.conf"
fi
PATH=$BUILD:$PATH
cert_conf root "$work/home/file.key" no "file = /root/never
deploy = yes"
estd() { # in a process of its own
    umask 077
    # shellcheck disable=SC2086
    exec $as_estd "$BUILD/sandbox" --kill "$unit" "$ESTD" -c "$work/estd.conf" "$@"
}
once() {
    (estd --once "$1")
}
check "the first enrolments, of a file's key" once file
check "and of a TPM's" once pump
estd 2>"$work/estd.log" &
estd=$!
pids="$pids $estd"
renewals() { # NAME N: that many at least
    [ "$(grep -c "^.*$1: renewed" "$work/estd.log")" -ge "$2" ]
}
for name in file turning staying pump; do
    check "$name is renewed twice" wait_for 60 renewals $name 2
done
[ "$failures" -eq 0 ] || sed 's/^/# /' "$work/estd.log"
if grep -q dps "$work/certs.d/pump.conf"; then
    check "it has one registered at DPS" wait_for 20 grep -q 'pump: pump is registered at DPS again' "$work/estd.log"
else
    skip "it has one registered at DPS" "python3-cryptography or python3-openssl is not installed"
fi
check "it answers" sh -c "'$T2C' status --config '$work/estd.conf' >'$work/status' && grep -q pump '$work/status'"
check "root is asked" grep -q 'root: the certificate waits for root' "$work/estd.log"
cert_conf late "$work/home/file.key" no "file = $work/home/late.pem"
kill -HUP $estd
check "it reads its configuration again" wait_for 20 grep -q 'late: enrolled' "$work/estd.log"
check "statistics are written" wait_for 10 test -s "$work/home/estd.prom"
kill $estd
wait $estd
check_equal "it ends when told to" 0 $?
check_equal "its umask keeps nobody from certificates" "644 755 755" \
    "$(stat -c %a "$work/home/certs/pump/current/cert.pem" "$work/home/certs/pump" "$work/home/certs" | tr '\n' ' ' | sed 's/ $//')"

# ---- under systemd itself ----

if [ ! -d /run/systemd/system ]; then
    skip "it runs as a service" "systemd is not what runs this machine"
elif [ "$(id -u)" -ne 0 ]; then
    skip "it runs as a service" "not root"
else
    service=tpm2cloud-test-$$.service
    sed "s|^ExecStart=.*|ExecStart=$ESTD -c $work/estd.conf|; s|^User=.*|User=nobody|; s|^Group=.*|Group=nogroup|
        s|^SupplementaryGroups=.*||; s|^StateDirectory=.*||; s|^RuntimeDirectory=.*||; s|^Wants=.*||
        s|^PrivateTmp=yes|&\nBindPaths=$work\nBindReadOnlyPaths=$BUILD\nReadWritePaths=$work/home\nEnvironment=TPM2CLOUD_TCTI=$TPM2CLOUD_TCTI \
TPM2CLOUD_CONF=$TPM2CLOUD_CONF OPENSSL_MODULES=$OPENSSL_MODULES|" "$unit" >"/run/systemd/system/$service"
    chmod 644 "/run/systemd/system/$service"
    systemctl daemon-reload
    issued=$(grep -c 'status=200.*subject="CN=pump"' "$work/plant.log")
    check "it runs as a service" systemctl start "$service"
    more() {
        [ "$(grep -c 'status=200.*subject="CN=pump"' "$work/plant.log")" -gt "$1" ]
    }
    check "and renews there" wait_for 60 more "$issued"
    journalctl -q --no-pager -u "$service" | tail -n 20 | sed 's/^/# /'
    check "it ends as a service" systemctl stop "$service"
    check_equal "well" success "$(systemctl show -P Result "$service")"
    rm "/run/systemd/system/$service"
    systemctl daemon-reload
fi
finish
