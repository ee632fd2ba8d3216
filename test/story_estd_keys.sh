#!/bin/sh
# Keys that another provider has: a PKCS#11 token by pkcs11-provider, where the system has that (Debian 13), and what is said
# where it has not.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/estd.sh"
need openssl
ca_make ca
echo secret >"$work/password"
ca_serve ca --auth any --user dev:secret --lifetime 20
estd_conf "$work/ca/root.pem"
# with_key URI: the certificate dev has that key
with_key() {
    cert_conf dev '[auth]' 'user = dev' "password_file = $work/password" '[renew]' 'window = 1-1'
    sed -i "s|^key = .*|key = $1|" "$work/certs.d/dev.conf"
}

with_key 'foo:bar'
refused "a scheme that nobody knows" "none of the providers in openssl.cnf opens foo:bar" dev
with_key 'pkcs11:token=est;object=dev?pin-value=1234'
check_fails "a PIN in the configuration" "the URI holds a PIN, which messages would show" "$ESTD" -c "$work/est.conf" --check-config
check_fails "which is not shown" "" grep -q 1234 "$work/err"
printf 'openssl_conf = a\n[a\n' >"$work/bad.cnf"
with_key 'pkcs11:token=est;object=dev'
check_fails "an openssl.cnf that cannot be read" "OpenSSL does not take its configuration $work/bad.cnf" \
    env OPENSSL_CONF="$work/bad.cnf" "$ESTD" -c "$work/est.conf" --once dev

module=$(find "$(openssl version -m | sed 's/.*"\(.*\)"/\1/')" -name pkcs11.so)
token=$(find /usr/lib -name libsofthsm2.so | head -n 1)
if [ -z "$module" ]; then
    check_fails "no pkcs11-provider" "install it (Debian's package pkcs11-provider)" once dev
    skip "a key in a PKCS#11 token" "this system has no package pkcs11-provider"
    finish
fi
need softhsm2-util pkcs11-tool
[ -n "$token" ] || skip_all "libsofthsm2 is not installed"
mkdir "$work/tokens"
printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$work/tokens" >"$work/softhsm.conf"
export SOFTHSM2_CONF="$work/softhsm.conf"
cat >"$work/openssl.cnf" <<CONF
openssl_conf = conf
[conf]
providers = providers
[providers]
default = default_provider
pkcs11 = pkcs11_provider
[default_provider]
activate = 1
[pkcs11_provider]
module = $module
pkcs11-module-path = $token
activate = 1
CONF
check "a token" softhsm2-util --init-token --free --label est --so-pin 4321 --pin 1234
check "with a key" pkcs11-tool --module "$token" --token-label est --login --pin 1234 --keypairgen --key-type EC:prime256v1 \
    --label dev --id 01
printf 1234 >"$work/pin"
export OPENSSL_CONF="$work/openssl.cnf"
with_key "pkcs11:token=est;object=dev;type=private?pin-source=$work/pin"
check "is enrolled" once dev
check "renews its certificate" once dev
check_equal "the server saw the certificate" 1 "$(requests 'op=simplereenroll status=200 auth=mtls peer="CN=dev" subject="CN=dev"')"
openssl x509 -in "$work/installed/dev.pem" -noout -pubkey >"$work/certified.pub"
pkcs11-tool --module "$token" --token-label est --read-object --type pubkey --id 01 --output-file "$work/token.der" 2>"$work/err"
check "which is of the token's key" sh -c "openssl pkey -pubin -inform DER -in '$work/token.der' -pubout | cmp - '$work/certified.pub'"
with_key "pkcs11:token=est;object=nobody;type=private?pin-source=$work/pin"
refused "a key that the token does not have" "no private key without a passphrase in pkcs11:token=est;object=nobody" dev
printf 0000 >"$work/pin"
with_key "pkcs11:token=est;object=dev;type=private?pin-source=$work/pin"
refused "a wrong PIN" "pkcs11:token=est;object=dev" dev
finish
