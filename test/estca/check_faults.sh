#!/bin/sh
# Proves the faults of estca, each as curl and the openssl command line meet it.
# shellcheck source=test/estca/lib.sh
. "$(dirname "$0")/lib.sh"

"$ESTCA" init ca
make_csr dev "/O=Test/CN=dev-1" -addext "subjectAltName=DNS:dev-1.example" -addext "extendedKeyUsage=clientAuth" \
	-addext "keyUsage=critical,digitalSignature"
"$ESTCA" sign ca --csr dev.csr --out dev.pem --lifetime 86400
MTLS="--cert dev.pem --key dev.key"

# with FAULT-OPTIONS...: a server that lets everybody in and does wrong.
with() { serve --auth none "$@"; }
# done_with FAULT: it ends as if nothing had been.
done_with() { ok "$1: the server ends well" stop; }
# says TEXT COMMAND...: the command fails and says TEXT.
says() {
	text=$1
	shift
	if "$@" >said.err 2>&1; then return 1; fi
	has said.err "$text"
}
plain_get() { get -v -o body -w '%{http_code}\n' "$@" "$URL/cacerts"; }

# --- how a fault is asked for ---

ok "unknown fault exits 2" exits 2 "$ESTCA" serve ca --fault dance
ok "a fault without its number exits 2" exits 2 "$ESTCA" serve ca --fault status
ok "a fault with a number that it does not take exits 2" exits 2 "$ESTCA" serve ca --fault nul=1
ok "a fault with a number out of range exits 2" exits 2 "$ESTCA" serve ca --fault status=99
ok "a fault with a wrong limit exits 2" exits 2 "$ESTCA" serve ca --fault nul@0
ok "an alert that OpenSSL does not send exits 2" exits 2 "$ESTCA" serve ca --fault client-alert=49
ok "a certificate's fault in an operation that issues none exits 2" exits 2 "$ESTCA" serve ca --fault expired --fault-op cacerts
with --fault status=503@2 --fault retry-after=7@1
ok "status" status 503 simpleenroll dev.b64
ok "retry-after" has head "^Retry-After: 7.$"
printf 'AAAA' >zero.b64
ok "a refused request does not count" status 400 simpleenroll zero.b64
ok "status on the second request" status 503 simpleenroll dev.b64
ok "retry-after is over" fails has head "^Retry-After"
ok "status is over on the third" enrolled dev.b64
done_with status
with --fault html --fault-op cacerts
ok "--fault-op cacerts disturbs cacerts" same "$(get -o body -w '%{content_type}' "$URL/cacerts")" text/html
ok "--fault-op cacerts leaves enrolment alone" enrolled dev.b64
done_with --fault-op

# --- connections ---

with --fault delay-accept=700@1
begun=$(date +%s%3N)
ok "delay-accept" plain_get
ok "delay-accept lasts" [ $(($(date +%s%3N) - begun)) -ge 700 ]
begun=$(date +%s%3N)
ok "delay-accept@1: not the second connection" plain_get --max-time 5
done_with delay-accept
with --fault delay-accept=100000
get -o body --max-time 30 "$URL/cacerts" >waiting 2>&1 &
PIDS="$PIDS $!"
done_with "delay-accept while it waits"
with --fault delay-handshake=700
begun=$(date +%s%3N)
ok "delay-handshake" plain_get
ok "delay-handshake lasts" [ $(($(date +%s%3N) - begun)) -ge 700 ]
ok "delay-handshake comes before the ServerHello" says "timed\? *out" get --max-time 0.3 -o body "$URL/cacerts"
done_with delay-handshake
with --fault reset-accept
ok "reset-accept" says "Connection reset by peer" plain_get
ok "reset-accept is in the log" soon has log 'op=tls status=0 .*reason="reset instead of a handshake"'
done_with reset-accept
with --fault plain-http
ok "plain-http" says "wrong version number" plain_get
ok "plain-http is HTTP" same "$(get -o body -w '%{http_code}' "http://localhost:$PORT/")" 400
done_with plain-http
with --fault hello-alert=49
ok "hello-alert" says "alert access denied" plain_get
done_with hello-alert

# alert NUMBER TEXT: refuses a client's certificate, in both versions of TLS, and nobody without one.
alert() {
	old=${3:-alert $2}
	serve --fault "client-alert=$1"
	ok "client-alert=$1: without a certificate nothing happens" plain_get
	# shellcheck disable=SC2086 # the words of MTLS
	{
		ok "client-alert=$1: TLS 1.3" says "alert $2" plain_get --tlsv1.3 $MTLS
		ok "client-alert=$1: TLS 1.2" says "$old" plain_get --tls-max 1.2 $MTLS
	}
	done_with "client-alert=$1"
}
alert 40 "handshake failure"
alert 42 "bad certificate"
alert 43 "unsupported certificate"
alert 44 "certificate revoked"
alert 45 "certificate expired" "alert, certificate expired" # which curl takes for the server's
alert 46 "certificate unknown"
alert 48 "unknown ca"
alert 51 "decrypt error"
alert 80 "internal error"
serve --fault client-alert=44 --fault abrupt
# shellcheck disable=SC2086
ok "abrupt: TLS 1.2 tells why all the same" says "alert certificate revoked" plain_get --tls-max 1.2 $MTLS
head -c 60000 /dev/zero | tr '\0' A >long
# shellcheck disable=SC2086
ok "abrupt: with TLS 1.3, who still sends is cut off" says "curl: ([0-9]*) \(.*alert certificate revoked\|.*[Rr]eset by peer\|.*Broken pipe\|.*getpeername\)" \
	get --tlsv1.3 $MTLS -o body -d @long "$URL/simpleenroll"
done_with abrupt
serve --client-cert-required
ok "--client-cert-required, TLS 1.3" says "certificate required" plain_get --tlsv1.3
ok "--client-cert-required, TLS 1.2" says "alert handshake failure" plain_get --tls-max 1.2
# shellcheck disable=SC2086
ok "--client-cert-required: with one" plain_get $MTLS
done_with --client-cert-required

# --- the certificate ---

with --fault wrong-key
ok "wrong-key" enrolled dev.b64
ok "wrong-key: another key" fails same "$(key_of new.pem)" "$(public dev.key)"
ok "the fault is in the log" has log 'reason="fault wrong-key"'
done_with wrong-key
with --fault expired
ok "expired" enrolled dev.b64
ok "expired: it is" fails openssl x509 -in new.pem -noout -checkend 0
done_with expired
with --fault not-yet
ok "not-yet" enrolled dev.b64
ok "not-yet: it begins in a day" [ $(($(seconds "$(field new.pem -startdate)") - $(date +%s))) -gt 86000 ]
done_with not-yet
with --fault foreign-ca
ok "foreign-ca" enrolled dev.b64
ok "foreign-ca: does not chain" fails chains new.pem
done_with foreign-ca
with --fault wrong-subject
ok "wrong-subject" enrolled dev.b64
ok "wrong-subject: it is another" same "$(field new.pem -subject)" "CN=somebody else"
ok "wrong-subject: it chains" chains new.pem
done_with wrong-subject
with --fault wrong-san
ok "wrong-san" enrolled dev.b64
ok "wrong-san: it is another" same "$(openssl x509 -in new.pem -noout -ext subjectAltName | tail -1 | tr -d ' ')" \
	DNS:somebody-else.example
done_with wrong-san
with --fault no-san
ok "no-san" enrolled dev.b64
ok "no-san: there is none" fails text_has new.pem "Subject Alternative Name"
ok "no-san: what else was asked for is there" text_has new.pem "TLS Web Client Authentication"
done_with no-san
with --fault server-only
ok "server-only" enrolled dev.b64
ok "server-only: not for a client" fails chains -purpose sslclient new.pem
ok "server-only: for a server" chains -purpose sslserver new.pem
done_with server-only
with --fault ca-true
ok "ca-true" enrolled dev.b64
ok "ca-true: CA:TRUE" text_has new.pem "CA:TRUE"
done_with ca-true
# shellcheck disable=SC2086
{
	serve --fault same-serial
	ok "same-serial" enrolled dev.b64 $MTLS
	ok "same-serial: the client's" same "$(field new.pem -serial)" "$(field dev.pem -serial)"
	ok "same-serial: another certificate" fails cmp -s new.pem dev.pem
	done_with same-serial
	serve --fault shorter
	ok "shorter" enrolled dev.b64 $MTLS
	ok "shorter: it ends before the client's" [ "$(seconds "$(field new.pem -enddate)")" -lt "$(seconds "$(field dev.pem -enddate)")" ]
	ok "shorter: it is in force" openssl x509 -in new.pem -noout -checkend 60
	done_with shorter
	serve --fault same
	ok "same" status 200 simplereenroll dev.b64 $MTLS
	ok "same: one certificate" unwrap 1
	ok "same: the client's" same "$(openssl x509 -in new.pem)" "$(openssl x509 -in dev.pem)"
	done_with same
}

# --- the bag ---

with --fault empty
ok "empty is 200" status 200 simpleenroll dev.b64
ok "empty is a PKCS#7 without certificates" unwrap 0
done_with empty
with --fault extra-certs
ok "extra-certs is 200" status 200 simpleenroll dev.b64
ok "extra-certs: three others and twice the one" unwrap 5
ok "extra-certs: not the first" same "$(key_of new.pem)" "$(key_of ca/root.pem)"
ok "extra-certs: a stranger among them" grep -q "estca foreign CA" new.pem
done_with extra-certs
with --fault crls
ok "crls" status 200 simpleenroll dev.b64
ok "crls: a certificate and a CRL" unwrap 2
ok "crls: one of the issuing CA" sh -c 'openssl pkcs7 -inform DER -in body.der -print_certs | grep -A9 "BEGIN X509 CRL" >crl &&
	openssl crl -in crl -noout -CAfile ca/ca.pem'
done_with crls
with --fault ber
ok "ber" enrolled dev.b64
ok "ber: the length is indefinite" same "$(head -c 2 body.der | od -An -tx1)" " 30 80"
done_with ber
with --fault bare
ok "bare is 200" status 200 simpleenroll dev.b64
ok "bare is 13 bytes" same "$(openssl base64 -d -in body | wc -c)" 13
ok "bare is the type signedData" sh -c 'openssl base64 -d -in body | openssl asn1parse -inform DER | grep -q pkcs7-signedData'
done_with bare
with --fault trailing
ok "trailing" enrolled dev.b64
ok "trailing: behind the PKCS#7" same "$(tail -c 5 body.der)" estca
done_with trailing

# --- status and headers ---

with --fault challenge
ok "challenge is 401" status 401 simpleenroll dev.b64 -u dev:secret
ok "challenge: a Basic challenge" has head '^WWW-Authenticate: Basic realm="estca"'
done_with challenge
with --fault status=401
ok "status=401" status 401 simpleenroll dev.b64
ok "status=401: no challenge" fails has head "^WWW-Authenticate"
done_with status=401
serve --auth digest --user dev:secret --fault stale@1
ok "stale: curl goes on with the new nonce" status 200 simpleenroll dev.b64 --digest -u dev:secret
ok "stale: it was said" has head "stale=true"
ok "stale: three requests" logged 3 "op=simpleenroll"
done_with stale
for number in 301 302 303 307 308; do
	with --fault redirect=$number@1
	ok "redirect=$number" status $number simpleenroll dev.b64
	ok "redirect=$number: to this server" has head "^Location: /.well-known/est/moved/simpleenroll.$"
	ok "redirect=$number: there it is served" same "$(get -H 'Content-Type: application/pkcs10' -d @dev.b64 -o body \
		-w '%{http_code}' "https://localhost:$PORT/.well-known/est/moved/simpleenroll")" 200
	done_with redirect=$number
done
with --fault redirect=307
ok "redirect: a loop" says "Maximum (5) redirects" post simpleenroll dev.b64 -L --max-redirs 5
ok "redirect: six requests" logged 6 "op=simpleenroll"
done_with "redirect, looping"
with --fault redirect-away=307
ok "redirect-away" status 307 simpleenroll dev.b64
ok "redirect-away: to another name" has head "^Location: https://127.0.0.1:$PORT/.well-known/est/moved/simpleenroll.$"
done_with redirect-away
with --fault redirect-http=302
ok "redirect-http" status 302 simpleenroll dev.b64
ok "redirect-http: without TLS" has head "^Location: http://localhost:$PORT/"
done_with redirect-http
with --fault status=202
ok "status=202" status 202 simpleenroll dev.b64
ok "status=202: no Retry-After" fails has head "^Retry-After"
done_with status=202
# a_date FAULT FORM: in an hour, as date(1) writes it
a_date() {
	with --fault status=202 --fault "$1=3600"
	ok "$1" status 202 simpleenroll dev.b64
	said=$(sed -n 's/^Retry-After: \(.*\).$/\1/p' head)
	in_s=$(($(seconds "$said") - $(date +%s)))
	ok "$1: in an hour" [ $in_s -gt 3500 ] && [ $in_s -le 3600 ]
	ok "$1: its form" same "$said" "$(LC_ALL=C date -u -d "$said" "+$2")"
	done_with "$1"
}
a_date retry-date "%a, %d %b %Y %H:%M:%S GMT"
a_date retry-rfc850 "%A, %d-%b-%y %H:%M:%S GMT"
a_date retry-asctime "%a %b %e %H:%M:%S %Y"
with --fault bad-status-line
ok "bad-status-line" says "Received HTTP/0.9 when not allowed" post simpleenroll dev.b64
ok "bad-status-line: what it is" same "$(post simpleenroll dev.b64 --http0.9 >/dev/null && head -1 body | tr -d '\r')" "ESTCA two hundred"
done_with bad-status-line
with --fault huge-header=50000
ok "huge-header" enrolled dev.b64
ok "huge-header: it is" [ "$(wc -c <./head)" -gt 50000 ]
done_with huge-header
with --fault huge-header=2000000
ok "huge-header: too much for curl" fails post simpleenroll dev.b64
done_with "huge-header, 2 MB"
with --fault interim=3
ok "interim" enrolled dev.b64
ok "interim: 100, 103, 100, 200" same "$(sed -n 's/^HTTP\/1.1 \([0-9]*\).*/\1/p' head | tr '\n' ' ')" "100 103 100 200 "
done_with interim
with --fault wrong-type
ok "wrong-type" enrolled dev.b64
ok "wrong-type: text/plain" has head "^Content-Type: text/plain.$"
done_with wrong-type
with --fault no-type
ok "no-type" enrolled dev.b64
ok "no-type: there is none" fails has head "^Content-Type"
done_with no-type

# --- the body ---

with --fault garbage
ok "garbage is 200" status 200 simpleenroll dev.b64
ok "garbage is base64 but no PKCS#7" sh -c 'openssl base64 -d -in body -out g && test -s g && ! openssl pkcs7 -inform DER -in g'
done_with garbage
with --fault not-base64
ok "not-base64 is 200" status 200 simpleenroll dev.b64
ok "not-base64 is binary" sh -c 'LC_ALL=C grep -q "[^ -~]" body'
done_with not-base64
with --fault html
ok "html is 200" status 200 simpleenroll dev.b64
ok "html is text/html" has head "^Content-Type: text/html"
done_with html
with --fault huge-body=1000000
ok "huge-body is 200" status 200 simpleenroll dev.b64
ok "huge-body: a million letters" same "$(tr -d A <body | wc -c) $(wc -c <body)" "0 1000000"
done_with huge-body
with --fault 204-body
ok "204-body" status 204 simpleenroll dev.b64
ok "204-body: it says how long" has head "^Content-Length: [1-9]"
ok "204-body: it comes" sh -c "printf '%s\r\n' 'POST /.well-known/est/simpleenroll HTTP/1.1' 'Host: localhost' 'Connection: close' \
	'Content-Type: application/pkcs10' \"Content-Length: \$(wc -c <dev.b64)\" '' | cat - dev.b64 |
	openssl s_client -quiet -connect localhost:$PORT -CAfile ca/root.pem 2>/dev/null | sed '1,/^.\$/d' >body"
ok "204-body: a certificate" unwrap 1
done_with 204-body
with --fault nul
ok "nul is 200" status 200 simpleenroll dev.b64
ok "nul ends with NUL" same "$(tail -c 1 body | od -An -tx1)" " 00"
done_with nul
with --fault bom
ok "bom is 200" status 200 simpleenroll dev.b64
ok "bom begins with the mark" same "$(head -c 3 body | od -An -tx1)" " ef bb bf"
ok "bom: base64 follows" sh -c 'tail -c +4 body >rest && mv rest body' && ok "bom: a certificate" unwrap 1
done_with bom
with --fault pem
ok "pem is 200" status 200 simpleenroll dev.b64
ok "pem is PEM" openssl pkcs7 -in body -print_certs -out new.pem
ok "pem: of our key" same "$(key_of new.pem)" "$(public dev.key)"
done_with pem
with --fault der
ok "der is 200" status 200 simpleenroll dev.b64
ok "der is DER" openssl pkcs7 -inform DER -in body -print_certs -out new.pem
ok "der: of our key" same "$(key_of new.pem)" "$(public dev.key)"
done_with der
with --fault crlf76
ok "crlf76 is 200" status 200 simpleenroll dev.b64
ok "crlf76 has 76 columns and CR" same "$(head -1 body | wc -c) $(head -1 body | tail -c 2 | od -An -tx1)" "78  0d 0a"
ok "crlf76 is still a certificate" unwrap 1
done_with crlf76
with --fault cut
ok "cut is 200" status 200 simpleenroll dev.b64
ok "cut: no certificate any more" fails unwrap 1
ok "cut: its length is said as it is" has head "^Content-Length: $(wc -c <body).$"
done_with cut

# --- how it comes ---

with --fault delay=1200
begun=$(date +%s%3N)
ok "delay" enrolled dev.b64
ok "delay lasts" [ $(($(date +%s%3N) - begun)) -ge 1200 ]
ok "delay leaves cacerts alone" get -o body --max-time 1 "$URL/cacerts"
done_with delay
with --fault delay-body=1200
begun=$(date +%s%3N)
ok "delay-body" enrolled dev.b64
ok "delay-body lasts" [ $(($(date +%s%3N) - begun)) -ge 1200 ]
ok "delay-body: the head comes at once" curl_ends 28 simpleenroll dev.b64 --max-time 1
ok "delay-body: it is there" has head "^HTTP/1.1 200"
done_with delay-body
with --fault drip=1
begun=$(date +%s%3N)
ok "drip" enrolled dev.b64
ok "drip: a millisecond for each byte" [ $(($(date +%s%3N) - begun)) -ge "$(cat head body | wc -c)" ]
done_with drip
with --fault short
ok "short: curl misses bytes" curl_ends 18 simpleenroll dev.b64
done_with short
with --fault long
ok "long is 200" status 200 simpleenroll dev.b64
ok "long: the length is that of a part" fails unwrap 1
done_with long
with --fault chunked
ok "chunked" enrolled dev.b64
ok "chunked: it is" has head "^Transfer-Encoding: chunked"
ok "chunked: no length" fails has head "^Content-Length"
ok "chunked: a trailer" has head "^X-Trailer: estca"
done_with chunked
with --fault bad-chunk
ok "bad-chunk: curl finds no size" curl_ends 56 simpleenroll dev.b64
done_with bad-chunk
with --fault no-length
ok "no-length" enrolled dev.b64
ok "no-length: there is none" fails has head "^Content-Length"
done_with no-length
with --fault no-length --fault no-close-notify
ok "no-length without close_notify: curl takes what came" enrolled dev.b64
done_with "no-length without close_notify"
with --fault no-close-notify
ok "no-close-notify" enrolled dev.b64
ok "no-close-notify: TLS does not end" says "unexpected eof" sh -c "printf '%s\r\n' 'POST /.well-known/est/simpleenroll HTTP/1.1' \
	'Host: localhost' 'Content-Type: application/pkcs10' \"Content-Length: \$(wc -c <dev.b64)\" '' | cat - dev.b64 |
	openssl s_client -quiet -connect localhost:$PORT -CAfile ca/root.pem"
done_with no-close-notify
with --fault hang-up --fault-op cacerts
ok "hang-up" get -v -o body "$URL/cacerts" -o body2 "$URL/cacerts"
ok "hang-up: not a word of it" fails has said "Connection: close"
ok "hang-up: a connection for each" logged 2 "op=cacerts .* req=1 "
done_with hang-up
with --fault reset
ok "reset: curl loses the connection" curl_ends 56 simpleenroll dev.b64
done_with reset
with --fault no-answer
ok "no-answer: curl gets nothing" curl_ends 52 simpleenroll dev.b64
done_with no-answer

finish
