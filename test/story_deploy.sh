#!/bin/sh
# What estd may not do, root does once it is asked: files with an owner, restarts of units, a command. Root trusts nothing that
# estd writes but the certificates, nothing is lost when it is interrupted, and estd asks again. IoT Edge's files, too, and what its
# own configuration would contradict. Run as root, estd is nobody; else both are the same user, and owners stay as they are.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need openssl
unset NOTIFY_SOCKET JOURNAL_STREAM
DEPLOY=$BUILD/tpm2cloud-deploy
chmod 755 "$work"
mkdir -p "$work/etc/certs.d" "$work/here" "$work/aziot" "$work/bin" "$work/etc-aziot"
mkdir -p "$work/home"
who=$(id -un) group=$(id -gn) as_estd=
if [ "$(id -u)" -eq 0 ] && setpriv --reuid=nobody --regid=nogroup --clear-groups "$ESTD" --help >/dev/null 2>&1; then
    who=nobody group=nogroup
    as_estd="setpriv --reuid=$who --regid=$group --clear-groups"
    chown $who:$group "$work/home"
    chown daemon "$work/aziot"
    chmod 700 "$work/aziot"
fi
estd() {
    $as_estd "$ESTD" -c "$work/etc/estd.conf" "$@"
}
deploy() {
    "$DEPLOY" -c "$work/etc/estd.conf"
}
estca_start plant --auth any --user device:secret || skip_all "estca does not start"
cp "$work/plant/root.pem" "$work/etc/root.pem"
echo secret >"$work/etc/password"
openssl genpkey -algorithm EC -pkeyopt group:P-256 -out "$work/home/device.key" 2>"$work/err"
chmod 644 "$work/home/device.key"
cat >"$work/etc/estd.conf" <<END
[estd]
certs_d = $work/etc/certs.d
state_dir = $work/home/state
certs_dir = $work/home/certs
aziot_config_dir = $work/etc-aziot
aziot_certd_dir = $work/aziot
socket = none
[defaults]
url = https://localhost:$port/.well-known/est
trust = $work/etc/root.pem
user = device
password_file = $work/etc/password
END
cert_conf() { # NAME INSTALL...
    name=$1
    shift
    {
        printf '[certificate]\nkey = %s\nsubject = /CN=%s\n[install]\ndeploy = yes\n' "$work/home/device.key" "$name"
        printf '%s\n' "$@"
    } >"$work/etc/certs.d/$name.conf"
}
# What stands for systemctl, and the command: they write down how they were called, and fail when told to.
for program in systemctl changed; do
    cat >"$work/bin/$program" <<END
#!/bin/sh
echo "\$*" >>"$work/$program.log"
env | grep -vE '^(PWD|OLDPWD|SHLVL|_)=' | sort >"$work/$program.env"
if [ -e "$work/$program.waits" ]; then
    echo \$PPID >"$work/$program.parent"
    exec sleep 100
fi
[ ! -e "$work/$program.fails" ]
END
    chmod 755 "$work/bin/$program"
done
printf 'systemctl = %s\n' "$work/bin/systemctl" >"$work/etc/tpm2cloud.conf"
export TPM2CLOUD_CONF="$work/etc/tpm2cloud.conf"
lines() {
    grep -c . "$work/$1" 2>/dev/null
}
result() { # NAME KEY
    sed -n "s/^$2=//p" "$work/home/state/deploy/results/$1"
}

# ---- as it should be ----

cert_conf dev "file = $work/here/chain.pem" "leaf = $work/here/leaf.pem" "ca = $work/here/ca.pem" "owner = $who:$group" \
    "mode = 0640" "restart = nginx.service  dev@1.service" "command = $work/bin/changed certificate dev"
check "the configuration is valid" estd --check-config
check "a certificate" estd --once dev
check_equal "estd installs nothing itself" "" "$(ls "$work/here")"
check "root is asked" test -e "$work/home/state/deploy/asks/dev"
check "root installs it" deploy
check "the chain" cmp "$work/here/chain.pem" "$work/home/state/deploy/requests/dev.pem"
check "the leaf" sh -c "openssl x509 -in '$work/here/chain.pem' | cmp - '$work/here/leaf.pem'"
check "the CAs verify it" openssl verify -CAfile "$work/here/ca.pem" "$work/here/leaf.pem"
check_equal "owner and mode" "$who $group 640" "$(stat -c '%U %G %a' "$work/here/chain.pem")"
check_equal "units are restarted" "restart -- nginx.service dev@1.service" "$(cat "$work/systemctl.log")"
check_equal "the command is run, without a shell" "certificate dev" "$(cat "$work/changed.log")"
check_equal "in an environment of its own" "PATH TPM2CLOUD_CERTIFICATE" "$(cut -d= -f1 "$work/changed.env" | tr '\n' ' ' | sed 's/ $//')"
check_equal "which names the certificate" dev "$(sed -n 's/^TPM2CLOUD_CERTIFICATE=//p' "$work/changed.env")"
check_equal "it is answered" "done" "$(result dev status)"
check_equal "nobody asks any more" "" "$(ls "$work/home/state/deploy/asks")"
check "once more" deploy
check_equal "is nothing more to do" "1 1" "$(lines systemctl.log) $(lines changed.log)"
rm "$work/here/leaf.pem"
check "a file that somebody removed" deploy
check "is written again" test -s "$work/here/leaf.pem"
check_equal "and units learn of it" 2 "$(lines systemctl.log)"

# ---- interrupted, and in vain ----

touch "$work/systemctl.fails"
check "a renewal" estd --once dev
check_fails "a unit that does not start" "cannot restart nginx.service  dev@1.service: $work/bin/systemctl ended with status 1" deploy
check_equal "is answered" failed "$(result dev status)"
check_equal "with the reason" "cannot restart nginx.service dev@1.service: $work/bin/systemctl ended with status 1" \
    "$(result dev message | tr -s ' ')"
check "the files are there" cmp "$work/here/chain.pem" "$work/home/state/deploy/requests/dev.pem"
check_equal "the command was not run" 2 "$(lines changed.log)"
rm "$work/systemctl.fails"
check "it is done with the next try" deploy
check_equal "to its end" "done 3" "$(result dev status) $(lines changed.log)"

for victim in systemctl changed; do
    check "a renewal" estd --once dev
    touch "$work/$victim.waits"
    deploy 2>"$work/err" &
    pids="$pids $!"
    wait_for 10 test -s "$work/$victim.parent"
    kill -9 "$(cat "$work/$victim.parent")"
    wait $!
    rm "$work/$victim.waits" "$work/$victim.parent"
    check "killed while $victim runs: not done" sh -c "! grep -q \"\$(cat '$work/home/state/deploy/requests/dev.pem' | sha256sum | cut -c1-64)\" \
        '$work/home/state/deploy/results/dev'; test \"\$(cat '$work/$victim.log' | wc -l)\" -gt 3"
    before=$(lines changed.log)
    check "the next run does it" deploy
    check_equal "to its end" "done $((before + 1))" "$(result dev status) $(lines changed.log)"
done
for pid in $(pgrep -f "^sleep 100$"); do
    grep -qz "TPM2CLOUD_CERTIFICATE=dev" "/proc/$pid/environ" 2>/dev/null && kill "$pid"
done

# ---- a daemon ----

$as_estd "$ESTD" -c "$work/etc/estd.conf" 2>"$work/estd.log" &
daemon=$!
pids="$pids $daemon"
logged() {
    grep -q "$1" "$work/estd.log"
}
check "estd goes on with what is done" wait_for 10 logged 'dev: found a certificate'
cert_conf second "file = $work/here/second.pem"
kill -HUP $daemon
check "a second one waits for root" wait_for 10 logged 'second: the certificate waits for root'
check "root installs it" deploy
check "estd learns of that" wait_for 10 logged 'second: root has installed the certificate'
kill $daemon
wait $daemon
check_equal "estd ends" 0 $?
touch "$work/changed.fails"
cert_conf second "file = $work/here/second.pem" "command = $work/bin/changed x"
rm "$work/here/second.pem"
$as_estd "$ESTD" -c "$work/etc/estd.conf" 2>"$work/estd.log" &
daemon=$!
pids="$pids $daemon"
check "it starts" wait_for 10 logged 'second: found a certificate'
check_fails "a command that fails" "command: $work/bin/changed ended with status 1" deploy
check "is told with the reason" wait_for 10 logged "second: root cannot install the certificate: command: .*; asked again in"
rm "$work/changed.fails"
check "once it works" deploy
check "that is told, too" wait_for 10 logged 'second: root has installed the certificate and run its command'
kill $daemon
wait $daemon

# ---- IoT Edge ----

cert_conf edge "cert_id = device-id" "owner = $([ -z "$as_estd" ] && id -un || echo daemon)" "mode = 0600" "restart = aziot-identityd.service"
installed=$work/aziot/certs/deviceid-bd732105ef89cf8edd2606a5309c8a26b7b5599a4e124a0fe6199b6b2f60e655.cer
check "a device certificate" estd --once edge
check "root installs it" deploy
check "it is where certd reads it" cmp "$installed" "$work/home/state/deploy/requests/edge.pem"
check_equal "as certd's own" "$([ -z "$as_estd" ] && id -un || echo daemon) 600" "$(stat -c '%U %a' "$installed")"
check "identityd is restarted" grep -q 'restart -- aziot-identityd.service' "$work/systemctl.log"
mkdir -p "$work/etc-aziot/certd/config.d" "$work/etc-aziot/identityd/config.d"
printf '[cert_issuance.device-id]\nmethod = "est"\n' >"$work/etc-aziot/certd/config.d/00-super.toml"
mix="$work/etc/certs.d/edge.conf: [install] cert_id: device-id is issued by aziot-certd, too, by [cert_issuance.device-id] in \
$work/etc-aziot/certd/config.d/00-super.toml; a certificate has one renewer"
check_fails "certd issues it, too" "$mix" estd --check-config
rm "$installed"
deploy 2>"$work/deploy.log"
check "root knows that, too" grep -qF "$mix" "$work/deploy.log"
check "and leaves the file to certd" test ! -e "$installed"
chmod 600 "$work/etc-aziot/certd/config.d/00-super.toml"
if [ -n "$as_estd" ]; then
    estd --verbose --check-config >"$work/checked" 2>&1
    check_equal "what estd may not read refuses nothing" 0 $?
    check "but is said" grep -q "00-super.toml: Permission denied, so it is not seen whether it contradicts estd's" "$work/checked"
else
    skip "what estd may not read refuses nothing" "not root"
    skip "but is said" "not root"
fi
rm "$work/etc-aziot/certd/config.d/00-super.toml"
printf '[provisioning.attestation]\nidentity_cert = "device-id"\nidentity_pk = "device-id"\n[provisioning.attestation.identity_auto_renew]\nthreshold = "80%%"\n' \
    >"$work/etc-aziot/identityd/config.d/00-super.toml"
check_fails "identityd renews it, too" "device-id is renewed by aziot-identityd, too, by identity_auto_renew of [provisioning] in \
$work/etc-aziot/identityd/config.d/00-super.toml" estd --check-config
rm "$work/etc-aziot/identityd/config.d/00-super.toml"
check "without that root installs it" deploy
check "again" cmp "$installed" "$work/home/state/deploy/requests/edge.pem"

# ---- who is not trusted ----

rm "$work/etc/certs.d/second.conf"
requests=$work/home/state/deploy/requests
cp "$requests/dev.pem" "$work/good.pem"
cp "$work/here/chain.pem" "$work/installed.pem"
bad_request() { # WHAT MESSAGE
    check_fails "$1" "$2" deploy
    check "$1: what is installed stays" cmp "$work/installed.pem" "$work/here/chain.pem"
    rm -rf "$requests/dev.pem"
}
# as estd's user, who owns the directory
by_estd() {
    $as_estd sh -c "$1"
}
by_estd "rm '$requests/dev.pem'; ln -s /etc/shadow '$requests/dev.pem'"
bad_request "a link" "dev"
by_estd "mkfifo '$requests/dev.pem'"
bad_request "a pipe" "the request dev.pem is no file that estd wrote"
by_estd "echo hello >'$requests/dev.pem'"
bad_request "no certificate" "no PEM certificate"
by_estd "cat '$work/plant/root.pem' '$work/good.pem' >'$requests/dev.pem'"
bad_request "no chain" "certificate 2 did not issue the one before it"
by_estd "head -c 300000 /dev/zero >'$requests/dev.pem'"
bad_request "more than fits" "longer than 262144 bytes"
by_estd "{ echo 'ssh-rsa AAAA attacker'; cat '$work/good.pem'; echo '* * * * * root id'; } >'$requests/dev.pem'"
check "what stands around certificates" deploy
check_equal "does not get through" "" "$(grep -v '^[A-Za-z0-9+/=]*$' "$work/here/chain.pem" | grep -v '^-----')"
by_estd "cp '$work/good.pem' '$requests/dev.pem'; cp '$work/good.pem' '$requests/dev.ca.pem'"
bad_request "a CA that is none" "is that of no CA"
by_estd "cp '$work/good.pem' '$requests/dev.pem'; rm '$requests/dev.ca.pem'"
bad_request "no CA where one is wanted" "the CA certificates are missing"
by_estd "mv '$requests' '$requests.moved'; ln -s '$requests.moved' '$requests'"
if [ -n "$as_estd" ]; then
    check_fails "a link in place of the directory" "is a symbolic link on the way to $requests/" deploy
else
    skip "a link in place of the directory" "not root"
fi
by_estd "rm '$requests'; mv '$requests.moved' '$requests'; cp '$work/good.pem' '$requests/dev.pem'"
by_estd "cp '$work/plant/root.pem' '$requests/dev.ca.pem'"
chmod g+w "$requests"
check_fails "a directory for everybody" "may be written by others than its owner" deploy
chmod g-w "$requests"

# Somebody who owns a directory on the way to a file tries to have another written.
mkdir "$work/victim" "$work/theirs"
[ -z "$as_estd" ] || chown daemon "$work/theirs"
ln -s "$work/victim" "$work/theirs/dir"
cert_conf dev "file = $work/theirs/dir/chain.pem"
if [ -n "$as_estd" ]; then
    check_fails "a link in a directory of others" "symbolic link on the way" deploy
    check_equal "nothing is written there" "" "$(ls "$work/victim")"
else
    skip "a link in a directory of others" "not root"
    skip "nothing is written there" "not root"
fi

cert_conf dev "file = $work/here/chain.pem"
for file in estd.conf certs.d/dev.conf; do
    chmod g+w "$work/etc/$file"
    check_fails "$file that others may change" "$work/etc/$file is no configuration to act on" deploy
    chmod g-w "$work/etc/$file"
done
chmod o+w "$work/etc/certs.d"
check_fails "a directory of configurations that others may change" "is no configuration to act on" deploy
chmod o-w "$work/etc/certs.d"
chmod o+w "$work/bin/changed"
cert_conf dev "file = $work/here/chain.pem" "command = $work/bin/changed"
check_fails "a program that others may change" "$work/bin/changed is not run: others may change it" deploy
chmod o-w "$work/bin/changed"
for value in "restart = nginx" "restart = --now.service" "restart = a.service;id" "command = changed"; do
    cert_conf wrong "file = $work/here/wrong.pem" "$value"
    check_fails "$value" "$work/etc/certs.d/wrong.conf: [install] ${value%% =*}: " estd --check-config
done
rm "$work/etc/certs.d/wrong.conf"
check_fails "an unknown option" "tpm2cloud-deploy [-c FILE]" "$DEPLOY" -x
check_fails "no configuration" "$work/none" "$DEPLOY" -c "$work/none"
printf 'systemctl = systemctl\n' >"$work/etc/tpm2cloud.conf"
check_fails "systemctl without a path" "systemctl = systemctl must be an absolute path" deploy
finish
