# shellcheck shell=sh disable=SC2016,SC2034,SC2154
# Shared by those who ask keyd by curl, be it aziot's or our stand-in; sourced after harness.sh. The stand-in's configuration is in
# $work/keyd, and its home $work/home.

need curl jq openssl
unset JOURNAL_STREAM http_proxy ALL_PROXY all_proxy
keyd_socket=$work/keyd.sock

# keyd_conf: the configuration that our stand-in always has
keyd_conf() {
    [ -x "$BUILD/keyd" ] || skip_all "keyd is not built; it needs libmicrohttpd-dev and libjansson-dev"
    mkdir -p "$work/keyd/config.d" "$work/home"
    export AZIOT_KEYD_CONFIG="$work/keyd/config.toml" AZIOT_KEYD_CONFIG_DIR="$work/keyd/config.d"
    cat >"$AZIOT_KEYD_CONFIG" <<END
[aziot_keys]
homedir_path = "$work/home"
tpm2cloud = "required"
[endpoints]
aziot_keyd = "unix://$keyd_socket"
END
}

# keyd_patch NAME LINE...: the file config.d/NAME.toml
keyd_patch() {
    patch=$AZIOT_KEYD_CONFIG_DIR/$1.toml
    shift
    printf '%s\n' "$@" >"$patch"
}

# keyd_start ARGUMENTS...: serving, with our library; sets $keyd. Its log is $work/keyd.log.
keyd_start() {
    LD_LIBRARY_PATH="$BUILD/.libs" "$BUILD/keyd" "$@" 2>"$work/keyd.log" &
    keyd=$!
    pids="$pids $keyd"
    wait_for 10 test -S "$keyd_socket" || sed 's/^/# /' "$work/keyd.log"
}

keyd_stop() {
    kill "$keyd"
    wait "$keyd"
    check_equal "keyd ends well" 0 $?
}

# ask PATH CURL-ARGUMENTS...: prints what keyd answers; the status is in $work/status.
ask() {
    path=$1
    shift
    : >"$work/answer"
    curl -sS --unix-socket "$keyd_socket" -o "$work/answer" -w '%{http_code}' "http://keyd$path?api-version=2021-05-01" \
        -H 'content-type: application/json' "$@" >"$work/status"
    cat "$work/answer"
}

# ask_with METHOD PATH JQ-ARGUMENTS...: the same, with a body that jq makes
ask_with() {
    method=$1 to=$2
    shift 2
    jq -nc "$@" | ask "$to" -X "$method" --data-binary @-
}

b64() {
    base64 -w0
}

# value NAME: of the JSON that comes in, as it is; bytes NAME: what it is the base64 of
value() {
    jq -r ".$1"
}
bytes() {
    value "$1" | base64 -d
}
hex() {
    od -An -v -tx1 | tr -d ' \n'
}

# Each of these prints a handle.
new_pair() { # ID ALGORITHMS
    ask_with POST /keypair --arg i "$1" --arg a "$2" '{keyId: $i, preferredAlgorithms: $a}' | value keyHandle
}
pair() { # ID
    ask "/keypair/$1" | value keyHandle
}
new_key() { # ID USAGE [FILE TO IMPORT]
    ask_with POST /key --arg i "$1" --arg u "$2" --arg b "$(if [ $# -eq 3 ]; then b64 <"$3"; fi)" \
        '{keyId: $i, usage: $u} + if $b == "" then {} else {keyBytes: $b} end' | value keyHandle
}
derived() { # HANDLE FILE
    ask_with POST /derivedkey --arg h "$1" --arg d "$(b64 <"$2")" '{baseKeyHandle: $h, derivationData: $d}' | value keyHandle
}

# And these bytes.
parameter() { # HANDLE NAME
    ask_with POST "/parameters/$2" --arg h "$1" '{keyHandle: $h}' | bytes value
}
ecdsa() { # HANDLE: of the digest that comes in
    ask_with POST /sign --arg h "$1" --arg d "$(b64)" '{keyHandle: $h, algorithm: "ECDSA", parameters: {digest: $d}}' |
        bytes signature
}
hmac() { # HANDLE: of the message that comes in
    ask_with POST /sign --arg h "$1" --arg m "$(b64)" '{keyHandle: $h, algorithm: "HMAC-SHA256", parameters: {message: $m}}' |
        bytes signature
}
rsa() { # HANDLE PKCS1|NO-PADDING: of the block that comes in
    ask_with POST /encrypt --arg h "$1" --arg a "RSA-$2" --arg p "$(b64)" '{keyHandle: $h, algorithm: $a, plaintext: $p}' |
        bytes ciphertext
}
aead() { # HANDLE encrypt|decrypt IV: what comes in, with $work/aad
    ask_with POST "/$2" --arg h "$1" --arg v "$(printf %s "$3" | b64)" --arg a "$(b64 <"$work/aad")" --arg d "$(b64)" \
        '{keyHandle: $h, algorithm: "AEAD", parameters: {iv: $v, aad: $a}, plaintext: $d, ciphertext: $d}' |
        bytes "$([ "$2" = encrypt ] && echo ciphertext || echo plaintext)"
}

# der_of FILE: DER of what the lines that come in say, in the words of openssl asn1parse -genconf
der_of() {
    cat >"$1.conf"
    openssl asn1parse -genconf "$1.conf" -noout -out "$1"
}

# What openssl takes for the public key of a pair, from its parameters.
ec_public() { # HANDLE
    printf '[spki]\nalgorithm = SEQUENCE:algorithm\nkey = FORMAT:HEX,BITSTRING:%s\n' "$(parameter "$1" ec-point | hex)"
    printf '[algorithm]\ntype = OID:id-ecPublicKey\ncurve = OID:prime256v1\n'
}
rsa_public() { # HANDLE
    printf '[spki]\nalgorithm = SEQUENCE:algorithm\nkey = BITWRAP,SEQUENCE:key\n'
    printf '[algorithm]\ntype = OID:rsaEncryption\nparameters = NULL\n'
    printf '[key]\nn = INTEGER:0x%s\ne = INTEGER:0x%s\n' "$(parameter "$1" rsa-modulus | hex)" "$(parameter "$1" rsa-exponent | hex)"
}
public_of() { # HANDLE FILE: PEM
    case $(ask_with POST /parameters/algorithm --arg h "$1" '{keyHandle: $h}' | value value) in
    ECDSA) ec_public "$1" && form="-ec_conv_form uncompressed" ;;
    RSA) rsa_public "$1" && form= ;;
    esac >"$2.parts"
    sed '1i asn1 = SEQUENCE:spki' "$2.parts" | der_of "$2.der"
    # shellcheck disable=SC2086
    openssl pkey -pubin -inform DER -in "$2.der" -out "$2" $form
}

# request_of HANDLE NAME FILE: a certificate request of an EC pair, in DER
request_of() {
    {
        printf '[tbs]\nversion = INTEGER:0\nsubject = SEQUENCE:name\nspki = SEQUENCE:spki\nattributes = IMPLICIT:0,SET:none\n[none]\n'
        printf '[name]\nrdn = SET:rdn\n[rdn]\ncn = SEQUENCE:cn\n[cn]\ntype = OID:commonName\nvalue = UTF8:%s\n' "$2"
        ec_public "$1"
    } >"$3.parts"
    { echo 'asn1 = SEQUENCE:tbs' && cat "$3.parts"; } | der_of "$3.tbs"
    signature=$(openssl dgst -sha256 -binary "$3.tbs" | ecdsa "$1" | hex)
    {
        printf 'asn1 = SEQUENCE:request\n[request]\ntbs = SEQUENCE:tbs\nby = SEQUENCE:by\nsignature = FORMAT:HEX,BITSTRING:%s\n' "$signature"
        printf '[by]\ntype = OID:ecdsa-with-SHA256\n'
        cat "$3.parts"
    } | der_of "$3"
}
