#!/bin/sh
# Keys with an authorization value: it comes from a file, the environment, a credential or a passphrase, and never goes over
# the wire.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl tpm2_create
tpm_start
secret=0123456789abcdef
counting="$BUILD/.libs/tcti_count.so:swtpm:path=$work/tpm"
printf '%s\n' $secret >"$work/secret"
printf 'something else\n' >"$work/wrong"
head -c 1000 /dev/zero >"$work/data"

recorded() { # COMMAND...: with all that goes over the wire in $work/wire, and the commands in $work/commands
    : >"$work/commands"
    TPM2CLOUD_TCTI=$counting T2C_TCTI_TRAFFIC=$work/wire T2C_TCTI_LOG=$work/commands "$@"
}
names() {
    sed -e 's/0000015d/Sign/' -e 's/00000159/RSA_Decrypt/' -e 's/00000157/Load/' -e 's/00000165/FlushContext/' \
        -e 's/00000176/StartAuthSession/' -e 's/00000173/ReadPublic/' "$work/commands" | tr '\n' ' ' | sed 's/ $//'
}
not_on_wire() {
    [ -s "$work/wire" ] && ! grep -qaF "$secret" "$work/wire"
}
sign_by() { # SOURCE NAME
    ssl dgst -sha256 -sign "tpm2cloud:$2?auth-source=$1" -out "$work/sig" "$work/data"
}

# ---- made by us ----
for algorithm in ec-p256 rsa-2048; do
    operation=$([ $algorithm = ec-p256 ] && echo Sign || echo RSA_Decrypt)
    tpm2_clear
    rm -rf "$work/keys" "$work/wire"
    for name in ldevid file; do
        check "$algorithm $name: made with an authorization value" \
            recorded "$T2C" key create $name --alg $algorithm --auth "file:$work/secret"
        check "$algorithm $name: which is not on the wire" not_on_wire
        check "$algorithm $name: key show tells that it has one" sh -c "'$T2C' key show $name | grep -q '^auth: *wants a value'"
        check "$algorithm $name: made again" "$T2C" key create $name --alg $algorithm --auth "file:$work/secret"
        check_fails "$algorithm $name: made again without a value" "with" "$T2C" key create $name
        ssl pkey -in tpm2cloud:$name -passin pass:$secret -pubout -out "$work/$name.pub"
        rm -f "$work/wire"
        check "$algorithm $name: signs by file" recorded sign_by "file:$work/secret" $name
        check "$algorithm $name: the value is not on the wire" not_on_wire
        check "$algorithm $name: openssl verifies that" openssl dgst -sha256 -verify "$work/$name.pub" \
            -signature "$work/sig" "$work/data"
        check_equal "$algorithm $name: the commands of a cold signature" \
            "$([ $name = file ] && echo "Load StartAuthSession $operation FlushContext" || echo "StartAuthSession $operation")" \
            "$(names)"
        SECRET=$secret
        export SECRET
        check "$algorithm $name: signs by environment" sign_by env:SECRET $name
        check_fails "$algorithm $name: no such variable" "auth-source: the environment has no NOTHING" sign_by env:NOTHING $name
        CREDENTIALS_DIRECTORY=$work
        export CREDENTIALS_DIRECTORY
        check "$algorithm $name: signs by credential" sign_by cred:secret $name
        check_fails "$algorithm $name: no such credential" "$work/nothing: No such file" sign_by cred:nothing $name
        unset CREDENTIALS_DIRECTORY
        check_fails "$algorithm $name: no credentials" "since \$CREDENTIALS_DIRECTORY is not set" sign_by cred:secret $name
        check "$algorithm $name: signs by passphrase" ssl dgst -sha256 -sign tpm2cloud:$name -passin pass:$secret \
            -out "$work/sig" "$work/data"
        "$T2C" key pem $name --out "$work/$name.pem"
        check "$algorithm $name: signs by passphrase, as a PEM file" ssl dgst -sha256 -sign "$work/$name.pem" \
            -passin pass:$secret -out "$work/sig" "$work/data"
        check "$algorithm $name: openssl verifies that" openssl dgst -sha256 -verify "$work/$name.pub" \
            -signature "$work/sig" "$work/data"
        check_fails "$algorithm $name: a wrong value" "the authorization value is wrong" sign_by "file:$work/wrong" $name
        check_fails "$algorithm $name: a wrong passphrase" "the authorization value is wrong" \
            ssl dgst -sha256 -sign tpm2cloud:$name -passin pass:wrong -out "$work/sig" "$work/data"
        check_fails "$algorithm $name: none where it is known to want one" "wants an authorization value" \
            "$T2C" csr $name --subject /CN=x
        check "$algorithm $name: a request" "$T2C" csr $name --subject /CN=x --auth "file:$work/secret" --out "$work/csr"
        check "$algorithm $name: openssl verifies it" openssl req -in "$work/csr" -noout -verify
        tpm_clean "$algorithm $name"
    done
    check "$algorithm: the TPM's key file without passphrase in it" sh -c "! grep -q $secret '$work/keys/file.pem'"
done

# ---- by the neighbours ----
tpm2_clear
rm -rf "$work/keys" "$work/wire"
"$T2C" key create srk >/dev/null
tpm2_create -Q -C 0x81000001 -G ecc:ecdsa-sha256 -p $secret -u "$work/k.pub" -r "$work/k.priv" \
    -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign|noda'
tpm2_load -Q -C 0x81000001 -u "$work/k.pub" -r "$work/k.priv" -c "$work/k.ctx"
tpm2_flushcontext -t
tpm2_evictcontrol -Q -C o -c "$work/k.ctx" 0x81000002
tpm2_flushcontext -t
check_fails "a key at a handle that was never recorded" "record it with: tpm2cloud key pin" sign_by "file:$work/secret" ldevid
check_fails "and that nobody said to have one" "wants an authorization value" \
    ssl dgst -sha256 -sign tpm2cloud:ldevid -out "$work/sig" "$work/data"
rm -f "$work/keys/81000001.record"
check_fails "nor its storage root" "record it with: tpm2cloud key pin" sign_by "file:$work/secret" ldevid
check "key pin --auth records both" "$T2C" key pin ldevid --auth
check "then it signs" recorded sign_by "file:$work/secret" ldevid
check_equal "with two commands" "StartAuthSession Sign" "$(names)"
check "and its value is not on the wire" not_on_wire
tpm2_readpublic -Q -c 0x81000002 -f pem -o "$work/k.pem"
check "openssl verifies" openssl dgst -sha256 -verify "$work/k.pem" -signature "$work/sig" "$work/data"
rm -f "$work/wire"
# Sanitized, our module does not go into tpm2-tools: then this is what they would send.
if [ -z "$PRELOAD" ]; then
    recorded tpm2_create -Q -T "$counting" -C 0x81000001 -p $secret -u "$work/c.pub" -r "$work/c.priv" >/dev/null
else
    printf %s $secret >"$work/wire"
fi
tpm2_flushcontext -l # which tpm2-tools leave behind here, and below
check_fails "a value that goes in clear would be seen there" "" not_on_wire

tpm2_encodeobject -C 0x81000001 -u "$work/k.pub" -r "$work/k.priv" -o "$work/keys/theirs.pem" >/dev/null
tpm2_flushcontext -l
check "a key file of tpm2-tools that says that it wants a value" \
    ssl dgst -sha256 -sign tpm2cloud:theirs -passin pass:$secret -out "$work/sig" "$work/data"
check "openssl verifies that too" openssl dgst -sha256 -verify "$work/k.pem" -signature "$work/sig" "$work/data"
tpm2_encodeobject -C 0x81000001 -u "$work/k.pub" -r "$work/k.priv" -p -o "$work/keys/theirs.pem" >/dev/null
tpm2_flushcontext -l
check "one that says that it wants none" sign_by "file:$work/secret" theirs
check_fails "which is not asked for then" "theirs wants an authorization value: give it as ?auth-source=" \
    ssl dgst -sha256 -sign tpm2cloud:theirs -passin pass:$secret -out "$work/sig2" "$work/data"
tpm2_create -Q -C 0x81000001 -G ecc -u "$work/p.pub" -r "$work/p.priv" -a 'fixedtpm|fixedparent|sensitivedataorigin|sign'
tpm2_encodeobject -C 0x81000001 -u "$work/p.pub" -r "$work/p.priv" -p -o "$work/keys/bypolicy.pem" >/dev/null
tpm2_flushcontext -l
check_fails "a key that no value opens" "bypolicy is used by its policy alone" \
    ssl dgst -sha256 -sign tpm2cloud:bypolicy -out "$work/sig2" "$work/data"
check_fails "whatever the value" "bypolicy is used by its policy alone" sign_by "file:$work/secret" bypolicy
tpm_clean "keys of the neighbours"

# A wrong value of a protected key counts towards the lockout of the TPM: a program that repeats itself does not repeat that.
tpm2_create -Q -C 0x81000001 -G ecc:ecdsa-sha256 -p $secret -u "$work/p.pub" -r "$work/p.priv" \
    -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign'
tpm2_encodeobject -C 0x81000001 -u "$work/p.pub" -r "$work/p.priv" -o "$work/keys/protected.pem" >/dev/null
tpm2_flushcontext -l
"$ESTCA" init "$work/protection" >/dev/null
"$T2C" csr protected --subject /CN=x --auth "file:$work/secret" --out "$work/csr"
"$ESTCA" sign "$work/protection" --csr "$work/csr" --out "$work/crt"
tpm2_dictionarylockout -s -n 3 -t 3600 -l 10
check_fails "a wrong value, 20 times in one process" "20" \
    recorded with_conf "$BUILD/life" many "tpm2cloud://protected?auth-source=file:$work/wrong" "$work/crt" 20
check_equal "is sent once" 1 "$(grep -c 0000015d "$work/commands")"
check_equal "and counted once" "0x1" "$(tpm2_getcap properties-variable | sed -n 's/^TPM2_PT_LOCKOUT_COUNTER: //p')"
tpm2_encodeobject -C 0x81000001 -u "$work/p.pub" -r "$work/p.priv" -p -o "$work/keys/openly.pem" >/dev/null
tpm2_flushcontext -l
check_fails "none for one whose file says that it wants none" "20" \
    recorded with_conf "$BUILD/life" many tpm2cloud://openly "$work/crt" 20
check_equal "is sent once, too" 1 "$(grep -c 0000015d "$work/commands")"
check "the right one signs" sign_by "file:$work/secret" protected
tpm2_dictionarylockout -c

# A session that cannot be started leaves the value behind for nobody, least of all for a password session.
"$T2C" key pin ldevid >/dev/null # a record that knows of no value
rm -f "$work/wire"
"$ESTCA" init "$work/pki" >/dev/null
"$T2C" csr ldevid --subject /CN=x --auth "file:$work/secret" --out "$work/csr"
"$ESTCA" sign "$work/pki" --csr "$work/csr" --out "$work/crt"
check "a session that fails" recorded with_conf env T2C_TCTI_FAULT=176:101:1 \
    "$BUILD/objects" failure-tells-no-value "tpm2cloud://ldevid?auth-source=file:$work/secret" "$work/crt"
check "the value is not on the wire" not_on_wire

# The storage root that sits there is another than the one that was recorded: nothing is encrypted for it.
tpm2_evictcontrol -Q -C o -c 0x81000001
tpm2_createprimary -Q -C o -G ecc -c "$work/other.ctx"
tpm2_flushcontext -t
tpm2_evictcontrol -Q -C o -c "$work/other.ctx" 0x81000001
tpm2_flushcontext -t
check_fails "another storage root" "the storage key of the session: handle 0x81000001 holds another key" \
    sign_by "file:$work/secret" ldevid
tpm_clean "refusals"

# ---- there before ----
tpm2_clear
rm -rf "$work/keys"
"$T2C" key create ldevid >/dev/null
check_fails "a key that was made without a value" "ldevid is there without authorization value, by its record" \
    "$T2C" key create ldevid --auth "file:$work/secret"
check "signs as before" ssl dgst -sha256 -sign tpm2cloud:ldevid -out "$work/sig" "$work/data"
rm "$work/keys/81000002.record"
check_fails "one that was not recorded" "ldevid is there and was not recorded" \
    "$T2C" key create ldevid --auth "file:$work/secret"
for name in srk ek; do
    check_fails "$name is for everybody" "has no authorization value: others need it" \
        "$T2C" key create $name --auth "file:$work/secret"
done

# ---- a place with a long name, each space of which takes three characters in a URI ----
tpm2_clear
rm -rf "$work/keys"
"$T2C" key create ldevid --auth "file:$work/secret" >/dev/null
long=$work/$(printf '%200s' '')/$(printf '%200s' '')
mkdir -p "$long"
cp "$work/secret" "$long/secret"
escaped=$(echo "$long" | sed 's/ /%20/g')
check "a long name of a source" sign_by "file:$escaped/secret" ldevid
check "in a file that stands for the key" ssl pkey -in "tpm2cloud:ldevid?auth-source=file:$escaped/secret" -out "$work/long.pem"
check "which signs" ssl dgst -sha256 -sign "$work/long.pem" -out "$work/sig" "$work/data"

# ---- mistakes ----
check_fails "no file" "/dev/null is no regular file" "$T2C" key create x --auth file:/dev/null
: >"$work/nothing"
check_fails "an empty file" "the authorization value is empty" "$T2C" key create x --auth "file:$work/nothing"
head -c 3 /dev/zero >"$work/zeros"
check_fails "zeros, which are nothing" "the authorization value is empty" "$T2C" key create x --auth "file:$work/zeros"
check_fails "no such file" "$work/none: No such file" "$T2C" key create x --auth "file:$work/none"
check_fails "no such kind" 'use file:/path, env:NAME or cred:NAME' "$T2C" key create x --auth $secret
check_equal "which does not tell what may be the secret" 0 "$(grep -c $secret "$work/err")"
head -c 100 /dev/zero | tr '\0' x >"$work/long"
head -c 33 /dev/zero | tr '\0' x >"$work/longer"
check_fails "one that is longer than the digest of a Name" "such a key takes 32 at most" "$T2C" key create x --auth "file:$work/longer"
check_fails "a long one" "a TPM takes 64 at most" "$T2C" key create x --auth "file:$work/long"
check_equal "none of them made a key" "" "$(find "$work/keys" -name 'x*')"
finish
