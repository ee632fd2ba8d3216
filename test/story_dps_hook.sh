#!/bin/sh
# A certificate with dps = yes: what estd tells Azure's DPS, when, and how often; a stand-in for tpm2cloud writes down what it is told.
# shellcheck disable=SC1091,SC2016
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/estd.sh"
. "$srcdir/test/dps.sh"
need openssl swtpm
shim=$BUILD/.libs/clockshim.so
[ -e "$shim" ] || skip_all "clockshim is not built"
[ -z "$PRELOAD" ] || skip_all "a sanitizer's library and the clock cannot both be preloaded"
tpm_start
"$T2C" key create device >/dev/null || skip_all "the TPM makes no key"
printf 'secret\n' >"$work/password"
ca_serve ca --auth any --user dev:secret || skip_all "no EST server"
mkdir "$work/bin" "$work/certs"
cat >"$work/bin/tpm2cloud" <<END
#!/bin/sh
echo "\$(date +%s%N) \$*" >>"$work/told"
env >"$work/environment"
[ ! -e "$work/slow" ] || { echo \$\$ >"$work/slow"; exec sleep 60; }
[ ! -e "$work/fails" ] || { echo "tpm2cloud: DPS says: throttled" >&2; echo "usage: more" >&2; exit 1; }
END
chmod +x "$work/bin/tpm2cloud"
estd_conf "$work/ca/root.pem" "user = dev" "password_file = $work/password" "dps_scope = 0ne00000007"
sock=$work/estd.sock
sed -i "s|^socket = none|socket = $sock|; s|^certs_d |certs_dir = $work/certs\n&|" "$work/est.conf"
cat >"$work/certs.d/device.conf" <<END
[certificate]
key = tpm2cloud:device
subject = /O=Example/CN=device-001
[install]
file = $work/certs/device.pem
dps = yes
END
export TPM2CLOUD_ESTD_CONF="$work/est.conf" EST_SECRET=horse
ahead=0
later() { # SECONDS: estd's clock goes on by that
    ahead=$((ahead + $1))
    echo "$ahead slept" >"$work/clock.new"
    mv "$work/clock.new" "$work/clock"
}
later 0
run() { # sets $estd
    env PATH="$work/bin:$PATH" HTTPS_PROXY=http://127.0.0.1:2 no_proxy=localhost CLOCKSHIM="$work/clock" LD_PRELOAD="$shim" "$ESTD" 2>>"$work/estd.log" &
    estd=$!
    pids="$pids $estd"
    wait_for 10 sh -c "'$T2C' status | grep -q 'running since'"
}
renewed() {
    "$T2C" renew device && later 61
}
stop() {
    end_process "$estd"
}
told() { # how often
    if [ -e "$work/told" ]; then wc -l <"$work/told"; else echo 0; fi
}
logged() { # PATTERN [N]: at least that often
    [ "$(grep -cE -- "$1" "$work/estd.log")" -ge "${2:-1}" ]
}

# ---- a certificate that is there, and the first one ----

PATH=$BUILD/estd:$PATH "$T2C" enroll device --auth basic --url "https://localhost:$port/.well-known/est" --trust "$work/ca/root.pem" \
    --subject /O=Example/CN=device-001 --user dev --password-from "file:$work/password" >/dev/null
run
check "estd finds the certificate" wait_for 10 logged 'device: found'
check "a renewal" renewed
check "is told" wait_for 10 logged 'device: device-001 is registered at DPS again'
check_equal "once, with all that was configured" "dps register --force --x509 device --scope 0ne00000007 --id device-001" "$(cut -d' ' -f2- "$work/told")"
check_fails "it has no secrets of estd's" "" grep -q horse "$work/environment"
check_fails "and no proxy, as estd has none" "" grep -qi proxy "$work/environment"
stop
run
later 1000
check "estd is started again" wait_for 10 logged 'device: found' 2
check "its configuration read again" "$T2C" reload
check_equal "and tells nothing" 1 "$(told)"
check_fails "status has nothing to say of it" "" sh -c "'$T2C' status | grep -q DPS"

# ---- killed in between ----

touch "$work/slow"
check "a renewal" renewed
check "the command runs" wait_for 10 test -s "$work/slow"
check "estd answers meanwhile" "$T2C" status
kill -9 "$estd"
wait "$estd" 2>/dev/null
pids="$pids $(cat "$work/slow")"
rm "$work/slow"
run
later 61
check "a killed estd tells what it owes" wait_for 20 logged 'is registered at DPS again' 2
check_equal "once" 3 "$(told)"

# ---- failures ----

touch "$work/fails"
: >"$work/told"
check "a renewal, of which DPS will not hear" renewed
check "why is told" wait_for 10 logged 'device: cannot register device-001 at DPS: DPS says: throttled; next try in [0-9]+ s'
check "status has it, too" sh -c "'$T2C' status | grep -qE '^device: the new certificate is not registered at DPS, which failed [0-9]+ time.s. in a row: DPS says: throttled; next try 2'"
next() { # N: after how many seconds the next try is, by the Nth failure
    grep 'cannot register' "$work/estd.log" | sed -n "$1s/.*next try in \([0-9]*\) s$/\1/p"
}
later "$(next 1)"
check "it is tried again" wait_for 10 logged 'cannot register' 2
stop
sed -i 's|^key = |proxy = http://127.0.0.1:1\n&|' "$work/certs.d/device.conf"
run
check "started again, estd goes on waiting" wait_for 10 logged 'device: found' 4
later "$(($(next 2) - 5))"
check "status says so" sh -c "'$T2C' status | grep -q 'failed 2 time'"
check_equal "and nothing is told" 2 "$(told)"
later 10
check "before its time" wait_for 10 logged 'cannot register' 3
check_equal "by estd's proxy, once it has one" https_proxy=http://127.0.0.1:1 "$(grep -i proxy "$work/environment")"
check "each time it waits for longer: $(next 1), $(next 2), $(next 3) s" [ "$(next 1)" -lt "$(next 2)" ]
check "and longer" [ "$(next 2)" -lt "$(next 3)" ]
rm "$work/fails"
later "$(next 3)"
check "until it works" wait_for 10 logged 'is registered at DPS again' 3
check_fails "status has nothing to say of it" "" sh -c "'$T2C' status | grep -q DPS"
stop
sed -i /^proxy/d "$work/certs.d/device.conf"

# ---- a certificate that root installs ----

cp "$work/certs.d/device.conf" "$work/plain.conf"
echo 'deploy = yes' >>"$work/certs.d/device.conf"
: >"$work/told"
run
check "a certificate for that" "$T2C" enroll device
check "root is asked" wait_for 10 test -e "$work/state/deploy/asks/device"
later 120
check "two minutes go by" "$T2C" status
check_equal "as long as the old certificate is the one that is seen" 0 "$(told)"
check "root installs it" "$BUILD/tpm2cloud-deploy" -c "$work/est.conf"
later 61
check "then DPS is told" wait_for 10 logged 'is registered at DPS again' 4
check_equal "once" 1 "$(told)"
stop
cp "$work/plain.conf" "$work/certs.d/device.conf"

# ---- the command itself, at a double of DPS ----

if dps_can && command -v jq >/dev/null && dps_start; then
    enrolled "group devices $work/ca/root.pem hub=h9.example retry_after="
    printf 'dps_dir = %s\n' "$work/dps-known" >>"$work/tpm2cloud.conf"
    printf 'dps_scope = %s\ndps_endpoint = %s\ndps_trust = %s\n' "$scope" "$dps_url" "$dps_ca" >>"$work/certs.d/device.conf"
    rm "$work/bin/tpm2cloud"
    ln -s "$T2C" "$work/bin/tpm2cloud"
    run
    check "a renewal" renewed
    check "estd has the device registered" wait_for 20 logged 'is registered at DPS again' 5
    check_equal "at its hub" h9.example "$(jq -r .assignedHub "$work/dps-known"/*.json)"
    check_equal "DPS was asked by the new certificate" 1 "$(asked '.stage == "register"')"
    stop
else
    skip "estd has the device registered" "jq, python3-cryptography or python3-openssl is not installed"
fi

# ---- mistakes ----

wrong() { # WHAT TEXT EDIT...
    what=$1 text=$2
    shift 2
    cp "$work/certs.d/device.conf" "$work/good.conf"
    sed -i "$@" "$work/certs.d/device.conf"
    check_fails "$what" "$text" "$ESTD" --check-config
    cp "$work/good.conf" "$work/certs.d/device.conf"
}
wrong "a key without a name" "[install] dps: wants a key that has a name, and its certificate in a file: key = tpm2cloud:device, not" \
    "s|^key = .*|key = $work/password|"
wrong "a value that the command would not have" \
    "[install] dps: registers by a command that has none of estd's variables: give the authorization value of device by" \
    "s|^key = .*|key = tpm2cloud:device?auth-source=env:EST_SECRET|"
wrong "a certificate where nobody looks for it" "[install] dps: the registration looks for the certificate of device in $work/certs/device.pem; write file =" \
    "s|^file = .*|file = $work/installed/device.pem|"
certs_in() { # DIRECTORY: for all but estd
    sed -i "s|^certs_dir = .*|certs_dir = $1|" "$work/tpm2cloud.conf"
}
certs_in "$work/elsewhere"
wrong "a certificate where the command does not look" "looks for the certificate of device in $work/elsewhere/device.pem; write file =" ''
wrong "a generation there" \
    "in $work/elsewhere/device/current/cert.pem, and estd has it in $work/certs/device/current/cert.pem; let certs_dir of" \
    '$acurrent = yes'
mkdir -p "$work/elsewhere/device/gen-1" && ln -s gen-1 "$work/elsewhere/device/current"
wrong "an old generation there" \
    "in $work/elsewhere/device/current/cert.pem, and estd has it in $work/elsewhere/device.pem; let certs_dir of" \
    "s|^file = .*|file = $work/elsewhere/device.pem|"
certs_in "$work/certs"
wrong "an id that is none" '[install] dps_id: "a b" may hold' '$adps_id = a b'
wrong "no CN" '[install] dps_id: is missing' 's|/CN=.*||'
finish
