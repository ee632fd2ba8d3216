# A token of tpm2-pkcs11 for the tests, made by its own tools; sourced behind harness.sh.
# shellcheck shell=sh disable=SC2016,SC2154

# token_module: the library, or nothing.
token_module() {
    for file in /usr/lib/*/libtpm2_pkcs11.so.1 /usr/lib/*/pkcs11/libtpm2_pkcs11.so.1 /usr/lib/libtpm2_pkcs11.so.1 \
        /usr/lib64/libtpm2_pkcs11.so.1; do
        [ ! -e "$file" ] || echo "$file"
    done | head -n 1
}

# token_tools STORE: prepares tpm2_ptool for the store in that directory. It calls tpm2-tools, which count on a resource
# manager to remove what they leave behind.
token_tools() {
    token_store=$1
    mkdir -p "$token_store" "$work/token-bin"
    for tool in create createprimary load loadexternal readpublic sign unseal; do
        printf '#!/bin/sh\n%s "$@"\nrc=$?\ntpm2_flushcontext -t 2>/dev/null\nexit $rc\n' "$(command -v tpm2_$tool)" \
            >"$work/token-bin/tpm2_$tool"
        chmod +x "$work/token-bin/tpm2_$tool"
    done
    export TPM2_PKCS11_TCTI="$TPM2CLOUD_TCTI" TPM2_PKCS11_STORE="$token_store" TPM2_PKCS11_LOG_LEVEL=0
}

# ptool VERB ARGUMENTS...: in that store; what it says is in $work/ptool.log. Python has its own modules of OpenSSL.
ptool() {
    ptool_verb=$1
    shift
    env -u OPENSSL_MODULES PATH="$work/token-bin:$PATH" TSS2_LOG=all+NONE tpm2_ptool "$ptool_verb" "$@" \
        --path "$token_store" >"$work/ptool.log" 2>&1
}
