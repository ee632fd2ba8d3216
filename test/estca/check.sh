#!/bin/sh
# Proves estca with curl and the openssl command line: a CA and an EST server without faults.
# shellcheck source=test/estca/lib.sh
. "$(dirname "$0")/lib.sh"

# --- init and sign ---

ok "init makes a PKI" "$ESTCA" init ca
ok "server certificate chains to the root" chains -purpose sslserver -verify_hostname localhost ca/server.pem
ok "server certificate is for 127.0.0.1 too" chains -verify_ip 127.0.0.1 ca/server.pem
ok "server.pem holds two certificates" same "$(grep -c BEGIN ca/server.pem)" 2
ok "chain.pem is ca.pem and root.pem" same "$(cat ca/chain.pem)" "$(cat ca/ca.pem ca/root.pem)"
ok "issuing CA has pathlen 0" text_has ca/ca.pem "CA:TRUE, pathlen:0"
ok "keys have mode 0600" same "$(stat -c %a ca/root.key ca/ca.key ca/server.key | tr '\n' ' ')" "600 600 600 "
before=$(cat ca/*.pem ca/*.key)
ok "init again succeeds" "$ESTCA" init ca
ok "init again keeps every file" same "$(cat ca/*.pem ca/*.key)" "$before"
ok "init takes a name, a server name and days" "$ESTCA" init other --name Acme --server-name wrong.example --server-days=-1
ok "the name is in the CAs" same "$(field other/root.pem -subject) $(field other/ca.pem -subject)" \
	"CN=Acme root CN=Acme issuing CA"
ok "the server name is the only one" text_has other/server.pem "DNS:wrong.example$"
ok "the server certificate is expired" fails openssl x509 -in other/server.pem -noout -checkend 0
rm other/server.pem
ok "init makes a missing certificate again" "$ESTCA" init other
rm other/root.key
ok "init refuses a certificate without its key" exits 1 "$ESTCA" init other

make_csr dev "/O=Test/CN=dev-1" -addext "subjectAltName=DNS:dev-1.example" -addext "extendedKeyUsage=clientAuth" \
	-addext "keyUsage=critical,digitalSignature"
ok "sign a PEM CSR until 9999" "$ESTCA" sign ca --csr dev.csr --out dev.pem --not-after 99991231235959Z
ok "it ends on Dec 31 23:59:59 9999" same "$(field dev.pem -enddate)" "Dec 31 23:59:59 9999 GMT"
ok "the end is a GeneralizedTime" sh -c 'openssl asn1parse -in dev.pem | grep -q "GENERALIZEDTIME *:99991231235959Z"'
ok "leaf and intermediate come out" same "$(grep -c BEGIN dev.pem)" 2
ok "the subject is the CSR's" same "$(field dev.pem -subject)" "CN=dev-1,O=Test"
ok "SAN is copied" text_has dev.pem "DNS:dev-1.example"
ok "EKU is copied" text_has dev.pem "TLS Web Client Authentication"
ok "basicConstraints is CA:FALSE" text_has dev.pem "CA:FALSE"
ok "the serial number has 16 octets" sh -c 'openssl x509 -in dev.pem -noout -serial | grep -Eq "^serial=[4-7][0-9A-F]{31}$"'
ok "the leaf chains as a TLS client" chains -purpose sslclient dev.pem
"$ESTCA" sign ca --csr dev.der >dev2.pem
ok "sign a DER CSR to stdout, 365 days" same "$(life dev2.pem)" 31536000
"$ESTCA" sign ca --csr dev.csr --out long.pem --lifetime 1262304000
start=$(field long.pem -startdate)
year=$(echo "$start" | sed 's/ GMT$//; s/.* //')
ok "14610 days are 40 years, and end behind a time_t of 32 bits" same "$(field long.pem -enddate)" \
	"$(echo "$start" | sed "s/ $year GMT/ $((year + 40)) GMT/")"
"$ESTCA" sign ca --csr dev.csr --out old.pem --not-before -7200 --lifetime 3600
ok "sign an expired certificate" sh -c '! openssl x509 -in old.pem -noout -checkend 0'
make_csr sub "/CN=sub" -addext "basicConstraints=critical,CA:TRUE"
"$ESTCA" sign ca --csr sub.csr --out sub.pem
ok "a CSR that asks for CA:TRUE gets CA:FALSE" text_has sub.pem "CA:FALSE"
make_csr bad "/CN=bad"
break_signature() { # the last byte of the signature, changed
	size=$(($(wc -c <bad.der) - 1))
	last=$(tail -c 1 bad.der | od -An -tu1 | tr -d ' ')
	{ head -c "$size" bad.der; printf '%b' "\\0$(printf %o $(((last + 1) % 256)))"; } >broken.der
	openssl base64 -in broken.der -out broken.b64
}
break_signature
ok "sign refuses a CSR with a wrong signature" exits 1 "$ESTCA" sign ca --csr broken.der

# --- usage ---

ok "help exits 0" exits 0 "$ESTCA" help
ok "no verb exits 2" exits 2 "$ESTCA"
ok "unknown verb exits 2" exits 2 "$ESTCA" dance
ok "unknown option exits 2" exits 2 "$ESTCA" serve ca --dance
ok "--auth basic without users exits 2" exits 2 "$ESTCA" serve ca --auth basic
ok "--auth digest without users exits 2" exits 2 "$ESTCA" serve ca --auth digest
ok "a base path with a slash at its end exits 2" exits 2 "$ESTCA" serve ca --base /est/
ok "a wrong date exits 2" exits 2 "$ESTCA" sign ca --csr dev.csr --not-after 20261301000000Z
ok "a missing CA exits 1" exits 1 "$ESTCA" serve nowhere

# --- without faults: mTLS ---

serve
ok "one line port=N on stdout" same "$(cat out)" "port=$PORT"
ok "cacerts needs no authentication" same "$(get -o body -D head -w '%{http_code}' "$URL/cacerts")" 200
ok "cacerts has its Content-Type" has head "^Content-Type: application/pkcs7-mime.$"
ok "cacerts is two certificates" unwrap 2
ok "a label is accepted" same "$(get -o body2 -w '%{http_code}' "$URL/some-label/cacerts")" 200
ok "the label changes nothing" cmp body body2
ok "base64 has 64 columns" sh -c 'head -1 body | grep -Eqx ".{64}"'
ok "two labels are not" same "$(get -o body -w '%{http_code}' "$URL/a/b/cacerts")" 404
ok "an operation is no label" same "$(get -o body -w '%{http_code}' "$URL/cacerts/cacerts")" 404
ok "unknown operation is 404" same "$(get -o body -w '%{http_code}' "$URL/dance")" 404
ok "csrattrs is 204" same "$(get -o body -w '%{http_code}' "$URL/csrattrs")" 204
ok "POST cacerts is 405" same "$(get -o body -w '%{http_code}' -d x "$URL/cacerts")" 405
ok "GET simpleenroll is 405" same "$(get -o body -w '%{http_code}' "$URL/simpleenroll")" 405
ok "HEAD cacerts is 405" same "$(get -I -o body -w '%{http_code}' "$URL/cacerts")" 405
ok "enrol without a client certificate is 403" status 403 simpleenroll dev.b64
MTLS="--cert dev.pem --key dev.key"
# shellcheck disable=SC2086 # the words of MTLS
{
	ok "enrol with mTLS" enrolled dev.b64 $MTLS
	ok "the reply has its Content-Type" has head "^Content-Type: application/pkcs7-mime; smime-type=certs-only.$"
	ok "the reply has its transfer encoding" has head "^Content-Transfer-Encoding: base64.$"
	ok "the certificate is for our key" same "$(key_of new.pem)" "$(public dev.key)"
	ok "the certificate chains" chains -purpose sslclient new.pem
	ok "30 days" same "$(life new.pem)" 2592000
	serial=$(field new.pem -serial)
	ok "the log line is as promised" has log "op=simpleenroll status=200 auth=mtls peer=\"CN=dev-1,O=Test\" subject=\"CN=dev-1,O=Test\" serial=$serial tls=TLSv1.3 conn=[0-9]* req=1 reason=\"\"\$"
	cp new.pem renew.pem
	ok "wrong Content-Type is 415" same "$(get $MTLS -o body -w '%{http_code}' -H 'Content-Type: text/plain' --data-binary @dev.b64 "$URL/simpleenroll")" 415
	ok "missing Content-Type is 415" same "$(get $MTLS -o body -w '%{http_code}' -H 'Content-Type:' --data-binary @dev.b64 "$URL/simpleenroll")" 415
	ok "Content-Type with a parameter is fine" same "$(get $MTLS -o body -w '%{http_code}' -H 'Content-Type: Application/PKCS10; x=y' --data-binary @dev.b64 "$URL/simpleenroll")" 200
	ok "PEM instead of base64 is 400" status 400 simpleenroll dev.csr $MTLS
	ok "DER instead of base64 is 400" status 400 simpleenroll dev.der $MTLS
	ok "the reason is text/plain" has head "^Content-Type: text/plain"
	ok "a broken signature is 400" status 400 simpleenroll broken.b64 $MTLS
	ok "and says so" has body "signature does not verify"
	printf 'AAAA' >zero.b64
	ok "base64 of no CSR is 400" status 400 simpleenroll zero.b64 $MTLS
	: >empty.b64
	ok "an empty body is 400" status 400 simpleenroll empty.b64 $MTLS
	tr -d '\n' <dev.b64 >line.b64
	ok "one line of base64 is fine" enrolled line.b64 $MTLS
	sed 's/$/\r/' dev.b64 >crlf.b64
	ok "CRLF is fine" enrolled crlf.b64 $MTLS
	ok "a chunked request is fine" enrolled dev.b64 $MTLS -H "Transfer-Encoding: chunked"
	ok "Expect: 100-continue is answered" enrolled dev.b64 $MTLS -H "Expect: 100-continue" --expect100-timeout 15
	ok "100 Continue was sent" has head "^HTTP/1.1 100 Continue"
	head -c 70000 /dev/zero | tr '\0' A >big.b64
	ok "a body above 64 KiB is 413" status 413 simpleenroll big.b64 $MTLS
	ok "also when chunked" status 413 simpleenroll big.b64 $MTLS -H "Transfer-Encoding: chunked"
	ok "a head above 16 KiB is 431" status 431 simpleenroll dev.b64 $MTLS -H "X-Long: $(head -c 17000 /dev/zero | tr '\0' x)"

	# --- re-enrolment, strict ---
	RENEW="--cert renew.pem --key dev.key"
	ok "re-enrol with equal names" status 200 simplereenroll dev.b64 $RENEW
	ok "and the reply is a certificate" unwrap 1
	make_csr rekey "/O=Test/CN=dev-1" -addext "subjectAltName=DNS:dev-1.example"
	ok "re-enrol with a new key" status 200 simplereenroll rekey.b64 $RENEW
	make_csr other "/O=Test/CN=dev-2" -addext "subjectAltName=DNS:dev-1.example"
	ok "re-enrol with another subject is 403" status 403 simplereenroll other.b64 $RENEW
	ok "and says so" has body "subject is not the one"
	make_csr other "/O=Test/CN=dev-1" -addext "subjectAltName=DNS:dev-2.example"
	ok "re-enrol with another SAN is 403" status 403 simplereenroll other.b64 $RENEW
	make_csr other "/O=Test/CN=dev-1"
	ok "re-enrol without the SAN is 403" status 403 simplereenroll other.b64 $RENEW
	openssl req -new -key dev.key -subj "/O=Test/CN=dev-1" -addext "subjectAltName=DNS:dev-1.example" -utf8 \
		-config /dev/stdin -out other.csr <<-EOF
	[req]
	string_mask = pkix
	distinguished_name = dn
	[dn]
	EOF
	openssl req -in other.csr -outform DER | openssl base64 -out other.b64
	ok "re-enrol with a re-encoded subject is 403" status 403 simplereenroll other.b64 $RENEW
	ok "re-enrol without a client certificate is 403" status 403 simplereenroll dev.b64

	# --- who is a client ---
	"$ESTCA" init maker --name Maker
	"$ESTCA" sign maker --csr dev.csr --out maker.pem
	ok "a client of an unknown CA gets no connection" fails get --cert maker.pem --key dev.key "$URL/cacerts"
	ok "an expired client gets no connection" fails get --cert old.pem --key dev.key "$URL/cacerts"
	ok "the log tells of both" soon logged 2 "op=tls status=0"
	ok "and why" has log "op=tls status=0 .*reason=\".*certificate has expired"

	# --- versions, keep-alive, parallel ---
	ok "TLS 1.2" enrolled dev.b64 $MTLS --tls-max 1.2
	ok "TLS 1.2 is in the log" has log "tls=TLSv1.2"
	ok "TLS 1.3" enrolled dev.b64 $MTLS --tlsv1.3
	ok "TLS 1.1 is refused" fails get --tls-max 1.1 "$URL/cacerts"
	get -o body "$URL/cacerts" -o body2 "$URL/cacerts"
	ok "keep-alive: the second request of a connection" has log "op=cacerts .* req=2 "
	: >parallel
	jobs=
	for i in 1 2 3 4 5 6 7 8; do
		get $MTLS -o "par.$i" -w '%{http_code}\n' -H 'Content-Type: application/pkcs10' \
			--data-binary @dev.b64 "$URL/simpleenroll" >>parallel &
		jobs="$jobs $!"
	done
	for job in $jobs; do wait "$job" || :; done
	ok "8 parallel connections" same "$(grep -c '^200$' parallel)" 8
}
openssl s_client -ign_eof -connect "127.0.0.1:$PORT" -CAfile ca/root.pem </dev/null >idle 2>&1 &
IDLE=$!
PIDS="$PIDS $IDLE"
tries=0
while ! grep -qs "Verify return code" idle && [ "$tries" -lt 100 ]; do tries=$((tries + 1)); sleep 0.05; done
begun=$(date +%s)
ok "SIGTERM exits 0, without a word on stderr" stop
ok "at once, with a connection open" [ $(($(date +%s) - begun)) -le 2 ]
kill "$IDLE" 2>/dev/null || :
wait "$IDLE" 2>/dev/null || :

# --- other trust, other authentication ---

serve --client-ca maker/root.pem
ok "a client of another CA: leaf and intermediate" enrolled dev.b64 --cert maker.pem --key dev.key
ok "re-enrol with a certificate of another CA is 403" status 403 simplereenroll dev.b64 --cert maker.pem --key dev.key
ok "the server ends well" stop
serve --client-ca maker/chain.pem --no-own-client-ca
ok "--no-own-client-ca refuses our own" fails get --cert dev.pem --key dev.key "$URL/cacerts"
ok "and takes the other" enrolled dev.b64 --cert maker.pem --key dev.key
ok "the server ends well" stop

serve --auth basic --user admin:secret --user other:word --lifetime 20 --csrattrs MAA= --tls 1.2 --groups P-256
ok "Basic" enrolled dev.b64 -u admin:secret
ok "a lifetime of 20 s is 20 s" same "$(life new.pem)" 20
ok "and begins now" [ $(($(date +%s) - $(seconds "$(field new.pem -startdate)"))) -le 3 ]
ok "the second user too" enrolled dev.b64 -u other:word
ok "a wrong password is 401" status 401 simpleenroll dev.b64 -u admin:wrong
ok "with a challenge" has head '^WWW-Authenticate: Basic realm="estca"'
ok "no password is 401" status 401 simpleenroll dev.b64
ok "a client certificate does not help" status 401 simpleenroll dev.b64 --cert dev.pem --key dev.key
ok "Basic is in the log" has log "status=200 auth=basic peer=\"\""
ok "csrattrs answers what was given" same "$(get "$URL/csrattrs")" "MAA="
ok "--tls 1.2 answers no 1.3" fails get --tlsv1.3 "$URL/cacerts"
ok "--groups P-256 answers no X25519" fails get --curves X25519 "$URL/cacerts"
ok "--groups P-256 answers P-256" get --curves P-256 "$URL/cacerts"
ok "the server ends well" stop
printf '# users\nfile:pass:word\n' >users
serve --auth any --user-file users --lax --with-chain --not-after 20600101000000Z --backdate 100 --tls 1.3
ok "--auth any: Basic from a file" status 200 simpleenroll dev.b64 -u file:pass:word
ok "--with-chain sends three certificates" unwrap 3
ok "--not-after" same "$(field new.pem -enddate)" "Jan  1 00:00:00 2060 GMT"
ok "--backdate" [ $(($(date +%s) - $(seconds "$(field new.pem -startdate)"))) -ge 100 ]
ok "--auth any: certificate" status 200 simpleenroll dev.b64 --cert dev.pem --key dev.key
ok "--auth any: neither is 401" status 401 simpleenroll dev.b64
ok "--lax re-enrols anybody" status 200 simplereenroll dev.b64 -u file:pass:word
ok "--tls 1.3 answers no 1.2" fails get --tls-max 1.2 "$URL/cacerts"
ok "no session tickets" resumes New
ok "the server ends well" stop

serve --auth digest --user admin:secret --user 'odd"name:pass:word' --wrap 0 --base /a/b/est
URL=https://localhost:$PORT/a/b/est
ok "Digest, and a base path" status 200 simpleenroll dev.b64 --digest -u admin:secret
ok "--wrap 0 is one line that does not end" same "$(wc -l <body)" 0
ok "it is the certificate" sh -c 'openssl base64 -d -A -in body -out body.der && openssl pkcs7 -inform DER -in body.der -print_certs | grep -q CN'
ok "Digest is in the log" has log "status=200 auth=digest"
ok "a label below the base path" same "$(get -o body -w '%{http_code}' "$URL/label/cacerts")" 200
ok "RFC 7030's path is not there" same "$(get -o body -w '%{http_code}' "https://localhost:$PORT/.well-known/est/cacerts")" 404
ok "a name with a quote, a password with a colon" status 200 simpleenroll dev.b64 --digest -u 'odd"name:pass:word'
ok "a wrong password is 401" status 401 simpleenroll dev.b64 --digest -u admin:wrong
ok "with a challenge" has head '^WWW-Authenticate: Digest realm="estca", qop="auth", algorithm=MD5, nonce="'
ok "Basic does not help" status 401 simpleenroll dev.b64 -u admin:secret
ok "no password is 401" status 401 simpleenroll dev.b64
ok "another nonce is stale" status 401 simpleenroll dev.b64 -H "$(printf 'Authorization: Digest username="admin", realm="estca", nonce="x", uri="/a/b/est/simpleenroll", cnonce="y", nc=00000001, qop=auth, response="%s"' \
	"$(digest_response admin:secret x y /a/b/est/simpleenroll)")"
ok "and said to be" has head "stale=true"
ok "the server ends well" stop
serve --auth digest --digest SHA-256 --user admin:secret --wrap 76 --crlf
ok "Digest with SHA-256" status 200 simpleenroll dev.b64 --digest -u admin:secret
ok "--wrap 76 --crlf" same "$(head -1 body | wc -c) $(head -1 body | tail -c 2 | od -An -tx1)" "78  0d 0a"
ok "the server ends well" stop

# shellcheck disable=SC2086
{
	serve --client-cert-late --tls 1.3
	ok "--client-cert-late: curl has not shown its certificate yet" get $MTLS -o body "$URL/cacerts"
	ok "nor was it asked" has log 'op=cacerts status=200 auth=none peer=""'
	ok "it is, for an enrolment" enrolled dev.b64 $MTLS
	ok "and its answer may be that there is none" status 403 simpleenroll dev.b64
	ok "a certificate of an unknown CA is refused then" fails enrolled dev.b64 --cert maker.pem --key dev.key
	ok "and the log says why" soon has log "op=tls status=0 .*client certificate: unable to get"
	ok "the server ends well" stop
}
serve --tickets --tls 1.2
ok "--tickets lets a session resume" resumes Reused
ok "the server ends well" stop

# renegotiate TEXT: openssl renegotiates a connection of TLS 1.2 and says TEXT; all that it says is in renegotiated.
renegotiate() {
	rm -f ./commands renegotiated
	mkfifo ./commands
	openssl s_client -connect "localhost:$PORT" -CAfile ca/root.pem -tls1_2 <./commands >renegotiated 2>&1 &
	client=$!
	exec 9>./commands
	soon has renegotiated "Extended master secret" && echo R >&9 && soon has renegotiated "$1"
	result=$?
	exec 9>&-
	wait "$client" || :
	return "$result"
}
serve --tls 1.2
ok "no renegotiation" renegotiate "no renegotiation"
ok "extended master secret" has renegotiated "Extended master secret: yes"
ok "the server ends well" stop
serve --tls 1.2 --no-ems --renegotiation
ok "--renegotiation" renegotiate "^RENEGOTIATING"
ok "it is not refused" fails has renegotiated "no renegotiation"
ok "--no-ems" has renegotiated "Extended master secret: no"
ok "the server ends well" stop

# --- certificates that are refused, and the server's wish for a renewal ---

serve --refuse refused --renewal-info hint.json
# shellcheck disable=SC2086 # the words of MTLS
refusals() {
	serial=$(openssl x509 -in dev.pem -noout -serial | sed 's/serial=//')
	ok "a certificate that is not refused" enrolled dev.b64 $MTLS
	echo "$serial 403" >refused
	ok "refused by a status" status 403 simpleenroll dev.b64 $MTLS
	ok "also when it renews" status 403 simplereenroll dev.b64 $MTLS
	echo "$serial 44" >refused
	revoked() { ! post simpleenroll dev.b64 "$@" 2>why && has why "alert certificate revoked"; }
	ok "refused by an alert" revoked $MTLS
	echo "00 403" >refused
	ok "others are not" enrolled dev.b64 $MTLS
}
refusals
rm refused
ok "no renewal-info" same "$(get -o body -w '%{http_code}' "$URL/renewal-info/a.b")" 404
echo '{"suggestedWindow":{}}' >hint.json
ok "renewal-info" same "$(get -w '%{http_code} %{content_type}' "$URL/label/renewal-info/a.b" | tr '\n' ' ')" \
	'{"suggestedWindow":{}} 200 application/json'
ok "renewal-info of nothing" same "$(get -o body -w '%{http_code}' "$URL/renewal-info")" 404
ok "the server ends well" stop

finish
