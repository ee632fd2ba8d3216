#!/bin/sh
# What makes the cloud's side, with a stand-in for the Azure CLI that writes down how it is called and remembers what it made.
# shellcheck disable=SC1091,SC2016
. "${srcdir:-.}/test/harness.sh"
need openssl
azure=$srcdir/packaging/azure
mkdir "$work/bin" "$work/azure"
certificate() { # NAME BASIC-CONSTRAINTS
    printf '[req]\ndistinguished_name = name\nx509_extensions = of\n[name]\n[of]\nbasicConstraints = %s\n' "$2" >"$work/req.cnf"
    openssl req -x509 -config "$work/req.cnf" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/$1.key" -subj "/CN=$1" \
        -days 30 -out "$work/$1.pem" 2>/dev/null
}
certificate ca critical,CA:TRUE
certificate leaf CA:FALSE

# Each option that a call has is one that Microsoft documents for that command: COMMAND: OPTION...
cat >"$work/documented" <<'END'
login: --tenant --use-device-code
account show: --output
extension show: --name --output
extension add: --name --output
group create: --name --location --output
deployment group create: --resource-group --name --template-file --parameters --output
deployment group show: --resource-group --name --query --output
iot dps certificate list: --dps-name --resource-group --query --output
iot dps certificate create: --dps-name --resource-group --certificate-name --path --verified --output
iot dps enrollment-group list: --dps-name --resource-group --query --output
iot dps enrollment-group create: --dps-name --resource-group --enrollment-id --ca-name --edge-enabled --provisioning-status --output
END
cat >"$work/bin/az" <<'END'
#!/bin/sh
# fails when the call is $AZ_FAILS
command='' options='' word=''
for word; do
    case $word in
    --*) options="$options $word" ;;
    *) [ -n "$options" ] || command="$command${command:+ }$word" ;;
    esac
done
printf '%s\n' "$*" >>"$AZ/calls"
known=$(sed -n "s/^$command: //p" "$AZ/../documented")
[ -n "$known" ] || { echo "az: no such command: $command" >&2; exit 2; }
for word in $options; do
    case " $known " in *" $word "*) ;; *) echo "az $command: no such option: $word" >&2; exit 2 ;; esac
done
[ "$command" != "${AZ_FAILS:-}" ] || { echo "az: $command fails, as told" >&2; exit 1; }
value() { # OPTION ARGUMENTS...
    option=$1
    while shift && [ $# -gt 0 ]; do [ "$1" != "$option" ] || echo "$2"; done
}
case $command in
"extension show") [ -e "$AZ/extension" ] ;;
"extension add") touch "$AZ/extension" ;;
"deployment group show")
    case "$*" in
    *outputs.dpsName.*) echo the-dps ;;
    *outputs.idScope.*) echo 0ne00112233 ;;
    *outputs.hubHostName.*) echo the-hub.azure-devices.net ;;
    esac
    ;;
"iot dps certificate list") cat "$AZ/thumbprint" 2>/dev/null || : ;;
"iot dps certificate create") openssl x509 -in "$(value --path "$@")" -noout -fingerprint -sha1 | sed 's/.*=//; s/://g' >"$AZ/thumbprint" ;;
"iot dps enrollment-group list") cat "$AZ/group" 2>/dev/null || : ;;
"iot dps enrollment-group create") value --ca-name "$@" >"$AZ/group" ;;
esac
END
chmod +x "$work/bin/az"
export AZ="$work/azure"
deploy() { # ARGUMENTS...: from nothing that was called
    : >"$AZ/calls"
    AZ_FAILS=${fails:-} PATH=$work/bin:$PATH "$azure/deploy-cloud" --group the-rg --location westeurope "$@"
}
made() { # the calls that change something, as the commands that they are
    sed -n 's/ --.*//; /create$/p; /add$/p' "$AZ/calls" | paste -sd,
}
all="extension add,group create,deployment group create,iot dps certificate create,iot dps enrollment-group create"

check "a first time" deploy --ca "$work/ca.pem"
cp "$work/out" "$work/said"
check_equal "makes all, in this order" "$all" "$(made)"
check_equal "and says what a device is told" "scope_id = 0ne00112233
hub = the-hub.azure-devices.net" "$(cat "$work/said")"
check "the certificate is a verified one" grep -q "certificate create .* --path $work/ca.pem --verified true" "$AZ/calls"
check "the group is for it and for IoT Edge" \
    grep -q 'enrollment-group create .*--enrollment-id tpm2cloud --ca-name tpm2cloud-[0-9a-f]* --edge-enabled true' "$AZ/calls"
check "the template is the one beside it" grep -q -- "--template-file $azure/main.bicep --parameters location=westeurope" "$AZ/calls"
check_equal "no secret is on a command line" "" "$(grep -iE 'key|secret|password|connection' "$AZ/calls")"
check "a second time" deploy --ca "$work/ca.pem"
check_equal "makes no certificate and no group" "group create,deployment group create" "$(made)"
rm "$AZ"/[eg]* "$AZ/thumbprint"
echo "$all" | tr , '\n' >"$work/steps"
before=
while read -r step; do
    rm -f "$AZ"/[eg]* "$AZ/thumbprint"
    fails=$step
    check_fails "$step fails" "$step fails, as told" deploy --ca "$work/ca.pem"
    fails=
    before=$before${before:+,}$step
    check_equal "$step: it stops there" "$before" "$(made)"
    check "$step: and goes on another time" deploy --ca "$work/ca.pem"
done <"$work/steps"
fails="account show"
check_fails "not logged in" "not logged in: az login" deploy --ca "$work/ca.pem"
fails=

rm "$AZ/group" "$AZ/thumbprint"
check "other names" deploy --ca "$work/ca.pem" --ca-name factory --enrolment line-1 --no-edge --hub h-1 --dps d-1 --hub-sku F1
check "go to the template" grep -q 'location=westeurope hubName=h-1 dpsName=d-1 hubSku=F1 ' "$AZ/calls"
echo 0000 >"$AZ/thumbprint"
check_fails "another CA of that name" "is another (0000); give this one another name" deploy --ca "$work/ca.pem"
rm "$AZ/thumbprint"
echo other >"$AZ/group"
check_fails "a group of another CA" "is for the certificate other; choose another by --enrolment" deploy --ca "$work/ca.pem"

refused() { # WHAT TEXT ARGUMENTS...: and nothing was called
    what=$1
    : >"$AZ/calls"
    check_fails "$@"
    check_equal "$what: Azure is not asked" "" "$(cat "$AZ/calls")"
}
cat "$work/ca.pem" "$work/ca.key" >"$work/both.pem"
cat "$work/ca.pem" "$work/leaf.pem" >"$work/two.pem"
cp "$work/ca.pem" "$work/ca.crt"
refused "a private key" "holds a private key, which must not leave the CA" deploy --ca "$work/both.pem"
refused "no CA" "is not that of a CA" deploy --ca "$work/leaf.pem"
refused "two certificates" "give one certificate" deploy --ca "$work/two.pem"
refused "a name that Azure does not take" "by the ends .pem and .cer alone" deploy --ca "$work/ca.crt"
refused "a name that would be a query" "is no name" deploy --ca "$work/ca.pem" --enrolment "x'] || ['"
refused "no file" "cannot read" deploy --ca /nonexistent.pem
refused "an option that is none" "there is no option --resource-group" deploy --resource-group x
refused "half of it" "usage: deploy-cloud" "$azure/deploy-cloud" --group x

rm -f "$AZ"/[a-z]*
awk '/^```/ { here = $0 == "```sh"; next } here' "$azure/README.md" >"$work/commands"
check "what README.md says" env PATH="$work/bin:$azure:$BUILD:$PATH" sh -c "cd '$work' && sh -e ./commands"
check_equal "ends as it says" "$(awk '/^```/ { here = $0 == "```ini"; next } here' "$azure/README.md")" "$(tail -n 2 "$work/out")"

# ---- the template ----

check_equal "what the template gives out is no secret" "dpsName
hubHostName
idScope" "$(sed -n 's/^output \([A-Za-z]*\) .*/\1/p' "$azure/main.bicep" | sort)"
check_equal "and it is told none" "" "$(grep -n '@secure\|^param .*[kK]ey' "$azure/main.bicep")"
if command -v bicep >/dev/null; then
    check "it compiles" bicep build --stdout "$azure/main.bicep"
elif command -v az >/dev/null && az bicep version >/dev/null 2>&1; then
    check "it compiles" az bicep build --stdout --file "$azure/main.bicep"
else
    skip "it compiles" "neither bicep nor az with it is installed"
fi
finish
