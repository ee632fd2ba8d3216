# From test/faults.tsv to the part of docs/est.md that is not written by hand.
BEGIN {
    FS = "\t"
    title["connection"] = "The server"
    title["TLS"] = "In TLS, the server"
    title["status"] = "To an enrolment or renewal, the server answers"
    title["answer"] = "The server"
    title["body"] = "The server"
    title["certificate"] = "The certificate that comes"
    title["cacerts"] = "/cacerts brings"
    title["csrattrs"] = "/csrattrs brings"
    title["password"] = "The server"
    heading["connection"] = "Before a request"
    heading["TLS"] = "TLS"
    heading["status"] = "The status of an answer"
    heading["answer"] = "How an answer comes"
    heading["body"] = "What is in an answer"
    heading["certificate"] = "The certificate"
    heading["cacerts"] = "The CA's certificates"
    heading["csrattrs"] = "CSR attributes"
    heading["password"] = "Passwords"
}
function words(reaction) {
    if (reaction ~ /^wait=/)
        return "**waits** " pause(substr(reaction, 6))
    if (reaction == "timeout")
        return "**retry** when its time is over"
    if (reaction == "late")
        return "**accept** when its time is over"
    if (reaction == "down")
        return "**step down** after three"
    return "**" reaction "**"
}
function pause(s) {
    return s % 60 == 0 ? s / 60 " min" : s " s"
}
FNR > 1 {
    if ($1 != section) {
        section = $1
        printf "\n### %s\n\n| %s | estd | and says |\n|---|---|---|\n", heading[$1], title[$1]
    }
    gsub(/\|/, "\\|")
    printf "| %s | %s | %s |\n", $7, words($4), $6 == "-" ? "" : $6
}
