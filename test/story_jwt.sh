#!/bin/sh
# JSON web tokens by keys in the TPM: PyJWT verifies them, and refuses those that it should.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl /usr/bin/python3
/usr/bin/python3 -c 'import jwt, cryptography' 2>/dev/null || skip_all "python3-jwt and python3-cryptography are not installed"
tpm_start
printf 'guess\n' >"$work/auth"
"$T2C" key create ldevid >/dev/null
"$T2C" key create rsa --alg rsa-2048 >/dev/null
"$T2C" key create big --alg ec-p384 >/dev/null
"$T2C" key create guarded --auth "file:$work/auth" >/dev/null
for name in ldevid rsa guarded; do
    "$T2C" key show $name | sed -n '/-----BEGIN/,$p' >"$work/$name.pub"
done

# verified NAME ALGORITHM AUDIENCE SECONDS: the claims of the token in $work/token, for one whose clock is ahead by SECONDS, as JSON
verified() {
    env -u OPENSSL_MODULES /usr/bin/python3 - "$work/$1.pub" "$2" "$3" "$4" "$work/token" <<'END'
import datetime, json, sys
import jwt, jwt.api_jwt
public, algorithm, audience, ahead, path = sys.argv[1:]
class clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.now(tz) + datetime.timedelta(seconds=int(ahead))
jwt.api_jwt.datetime = clock
token = open(path).read().strip()
try:
    claims = jwt.decode(token, open(public).read(), algorithms=[algorithm], audience=audience, options={'require': ['exp', 'iat']})
except jwt.InvalidTokenError as why:
    print(type(why).__name__)
else:
    print(json.dumps({name: claims[name] for name in sorted(claims) if name not in ('iat', 'exp')}), claims['exp'] - claims['iat'])
END
}
counted() { # COMMAND...: its TPM commands in $work/commands
    : >"$work/commands"
    env TPM2CLOUD_TCTI="$BUILD/.libs/tcti_count.so:swtpm:path=$work/tpm" T2C_TCTI_LOG="$work/commands" "$@"
}

counted "$T2C" jwt ldevid --aud my-project --ttl 1h >"$work/token"
check_equal "a token costs one TPM command, TPM2_Sign" 0000015d "$(cat "$work/commands")"
check_equal "ES256: PyJWT takes it" '{"aud": "my-project"} 3660' "$(verified ldevid ES256 my-project 0)"
check_equal "not by another key" InvalidSignatureError "$(verified guarded ES256 my-project 0)"
check_equal "nor for others" InvalidAudienceError "$(verified ldevid ES256 project 0)"
check_equal "a clock that is behind by a minute takes it" '{"aud": "my-project"} 3660' "$(verified ldevid ES256 my-project -58)"
check_equal "one by two minutes does not" ImmatureSignatureError "$(verified ldevid ES256 my-project -120)"
check_equal "nor one that is ahead by its lifetime" ExpiredSignatureError "$(verified ldevid ES256 my-project 3601)"
"$T2C" jwt ldevid --aud a --ttl 600 --skew 5m >"$work/token"
check_equal "unless it was said that clocks differ more" '{"aud": "a"} 900' "$(verified ldevid ES256 a -250)"
sed -i 's/\.\(.\)/.X\1/2' "$work/token"
check_equal "a signature that was tampered with" DecodeError "$(verified ldevid ES256 a 0 | sed 's/InvalidSignatureError/DecodeError/')"

"$T2C" jwt rsa --aud a --ttl 1d --alg RS256 --json >"$work/json"
sed 's/.*"token": "\([^"]*\)".*/\1/' "$work/json" >"$work/token"
check_equal "RS256: PyJWT takes it" '{"aud": "a"} 86460' "$(verified rsa RS256 a 0)"
check_equal "and it is what JSON told" 86460 "$(($(sed 's/.*"expires": \([0-9]*\).*/\1/' "$work/json") - $(sed 's/.*"issued": \([0-9]*\).*/\1/' "$work/json")))"
for i in 1 2 3 4 5 6 7 8; do # a number of a signature has a zero in front once in a while: none is lost
    "$T2C" jwt ldevid --aud "$i" --ttl 60 >"$work/token"
    [ "$(cut -d . -f 3 "$work/token" | tr -d '\n' | wc -c)" -eq 86 ] || echo "$i"
done >"$work/short"
check_equal "each signature has 64 bytes" "" "$(cat "$work/short")"
"$T2C" jwt ldevid --aud a --ttl 1m --claim 'sub=pump "7" \ é' --claim n:=-1.5e3 --claim yes:=true --claim=none:=null \
    --claim text=true >"$work/token"
check_equal "claims of all kinds" \
    '{"aud": "a", "n": -1500.0, "none": null, "sub": "pump \"7\" \\ \u00e9", "text": "true", "yes": true} 120' \
    "$(verified ldevid ES256 a 0)"
"$T2C" jwt guarded --aud a --ttl 1m --auth "file:$work/auth" >"$work/token"
check_equal "a key with an authorization value" '{"aud": "a"} 120' "$(verified guarded ES256 a 0)"

check_fails "without it" "wants an authorization value" "$T2C" jwt guarded --aud a --ttl 1m
check_fails "a key that is too large" "big: the key is neither" "$T2C" jwt big --aud a --ttl 1m
check_fails "an algorithm of another key" "RS256 is made by an RSA key" "$T2C" jwt ldevid --aud a --ttl 1m --alg RS256
check_fails "no key" "there is no key nope" "$T2C" jwt nope --aud a --ttl 1m
check_fails "no audience" "--aud is missing" "$T2C" jwt ldevid --ttl 1m
check_fails "no lifetime" "--ttl is missing" "$T2C" jwt ldevid --aud a
check_fails "a claim of the token's own" "exp is set by --aud, --ttl and --skew" "$T2C" jwt ldevid --aud a --ttl 1m --claim exp:=9
check_fails "a lifetime without unit that is known" "--ttl 3w is no time" "$T2C" jwt ldevid --aud a --ttl 3w
# shellcheck disable=SC2046
check_fails "too many claims" "--claim can be given 32 times" "$T2C" jwt ldevid --aud a --ttl 1m $(seq -f '--claim n%g=x' 33)
tpm_clean "jwt"
finish
