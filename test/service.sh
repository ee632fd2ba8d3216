#!/bin/sh
# A device as its users have it: tpm2cloud is installed, systemd runs estd as its own user under the unit's restrictions, and root
# installs what estd may not. For a system that is thrown away: test/platform NAME --boot test/service.sh.
BUILD=${BUILD:-$PWD/build/plain}
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
if ! tr '\0' '\n' </proc/1/environ 2>/dev/null | grep -qx container=test; then
    skip_all "this is for a system that is thrown away: test/platform NAME --boot test/service.sh"
fi
check "make install" make -C "$BUILD" install
check "the user is made" systemd-sysusers
check "and the directories" systemd-tmpfiles --create tpm2cloud.conf
check_equal "estd's user may use the TPM" "tpm2cloud tss" "$(id -Gn tpm2cloud)"
check_equal "keys are for the group alone" "2750 tpm2cloud tpm2cloud" "$(stat -c '%a %U %G' /var/lib/tpm2cloud/keys)"

# A TPM that is a program, a CA, and a password that only root can read.
mkdir -p /run/tpm /etc/tpm2cloud/certs.d /srv/x
swtpm socket --tpm2 --tpmstate dir=/run/tpm --server type=unixio,path=/run/tpm/tpm --ctrl type=unixio,path=/run/tpm/tpm.ctrl \
    --flags not-need-init,startup-clear --daemon
wait_for 15 test -S /run/tpm/tpm
chown tpm2cloud /run/tpm/tpm /run/tpm/tpm.ctrl
echo 'tcti = swtpm:path=/run/tpm/tpm' >/etc/tpm2cloud/tpm2cloud.conf
estca_start plant --auth any --user device:secret --lifetime 30
cp "$work/plant/root.pem" /etc/tpm2cloud/root.pem
(umask 077 && echo secret >/etc/tpm2cloud/est-password)
mkdir -p /etc/systemd/system/estd.service.d
printf '[Service]\nLoadCredential=est-password:/etc/tpm2cloud/est-password\n' >/etc/systemd/system/estd.service.d/password.conf
cat >/etc/tpm2cloud/estd.conf <<END
[defaults]
url = https://localhost:$port/.well-known/est
trust = /etc/tpm2cloud/root.pem
user = device
password_file = cred:est-password
END
printf '%s\n' '[certificate]' 'key = tpm2cloud:pump' 'subject = /CN=pump' '[renew]' 'window = 20-40' 'rotate = yes' '[install]' \
    'deploy = yes' 'file = /srv/x/pump.pem' 'owner = daemon:daemon' 'mode = 0640' 'restart = witness.service' >/etc/tpm2cloud/certs.d/pump.conf
printf '[Service]\nType=oneshot\nExecStart=/bin/sh -c "echo restarted >>/srv/witness"\n' >/etc/systemd/system/witness.service
systemctl daemon-reload

told() { # EVENT N: that many events in the journal, at least
    [ "$(journalctl -q --no-pager -o cat -u estd "T2C_EVENT=$1" T2C_CERTIFICATE=pump | wc -l)" -ge "$2" ]
}
check "estd starts and is ready" systemctl start estd
check_equal "root's part is waited for" active "$(systemctl is-active tpm2cloud-deploy.path)"
check "a certificate for a key in the TPM" wait_for 20 told enrolled 1
check "root installs it" wait_for 20 told deployed 1
check "it is renewed with a new key" wait_for 30 told renewed 1
check "and root installs that" wait_for 20 told deployed 2
check_equal "for the user who needs it" "640 daemon daemon" "$(stat -c '%a %U %G' /srv/x/pump.pem)"
check "and its unit was restarted" test "$(wc -l </srv/witness)" -ge 2
main=$(systemctl show -P MainPID estd)
check_equal "no capabilities, no new privileges, a filter" "CapBnd 0000000000000000 NoNewPrivs 1 Seccomp 2" \
    "$(awk '/^(CapBnd|NoNewPrivs|Seccomp):/ {sub(":", "", $1); printf "%s%s %s", gap, $1, $2; gap = " "}' "/proc/$main/status")"
check "who is in the group sees what happens" runuser -u tpm2cloud -- tpm2cloud status
check "what is installed verifies" openssl verify -CAfile /etc/tpm2cloud/root.pem -untrusted /var/lib/tpm2cloud/certs/pump/current/cert.pem \
    /var/lib/tpm2cloud/certs/pump/current/cert.pem
check "estd reads its configuration again" systemctl reload estd
kill -9 "$main"
again() {
    [ "$(systemctl is-active estd)" = active ] && [ "$(systemctl show -P MainPID estd)" != "$main" ]
}
check "killed, it is started again" wait_for 20 again
seen=$(journalctl -q --no-pager -o cat -u estd T2C_EVENT=renewed | wc -l)
check "and goes on" wait_for 30 told renewed $((seen + 1))
check "it stops when told to" systemctl stop estd
check_equal "well" success "$(systemctl show -P Result estd)"
journalctl -q --no-pager -u estd -u tpm2cloud-deploy | grep -i 'denied\|not permitted\|refused' >"$work/refused"
check_equal "nothing was refused to it" "" "$(cat "$work/refused")"
finish
