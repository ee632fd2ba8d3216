"""Shared access signatures, as a service looks at them."""
import base64
import hashlib
import hmac
from urllib.parse import unquote


def read(authorization):
    """The parts of an Authorization header, as they stand there; None when it is no shared access signature."""
    kind, _, rest = authorization.partition(" ")
    pairs = [pair.partition("=") for pair in rest.split("&")]
    token = {name: value for name, _, value in pairs}
    if kind != "SharedAccessSignature" or len(token) != len(pairs) or not {"sr", "sig", "se"} <= set(token):
        return None
    return token


def refusal(token, key, resource, now_s):
    """Why TOKEN does not open RESOURCE now; None when it does. What was signed is sr as it was sent: encoders differ."""
    if key is None:
        return "no key was given to this device"
    if unquote(token["sr"]).lower() != resource.lower():
        return "the token is for " + unquote(token["sr"])
    wanted = hmac.new(key, ("%s\n%s" % (token["sr"], token["se"])).encode(), hashlib.sha256).digest()
    if not hmac.compare_digest(base64.b64encode(wanted).decode(), unquote(token["sig"])):
        return "the token's signature is wrong"
    if not token["se"].isdigit() or int(token["se"]) <= now_s:
        return "the token has expired"
    return None
