"""Judges a webhook as its receiver would: with a well-known Python library where there is one, else with what the
provider's documentation says, written in another language than what signs here.

`check.py PROVIDER SECRET`, with `{"headers": {...}, "body": base64}` on standard input; exits with 0 if it is genuine.
"""

import base64
import hashlib
import hmac
import json
import sys


def mac(secret, text, algorithm="sha256"):
    return hmac.new(secret.encode(), text, algorithm)


def mailgun(secret, headers, body):
    """Mailgun's own library."""
    from mailgun.security import SecurityGuard

    signature = json.loads(body)["signature"]
    return SecurityGuard.verify_webhook(secret, signature["token"], signature["timestamp"], signature["signature"])


def meta(secret, headers, body):
    """pywa, for WhatsApp."""
    from pywa.utils import webhook_updates_validator

    return webhook_updates_validator(secret, body, headers["x-hub-signature-256"])


def gitlab(secret, headers, body):
    """gidgetlab."""
    from gidgetlab.exceptions import GitLabException
    from gidgetlab.sansio import Event

    try:
        return Event.from_http(headers, body, secret=secret).event == headers["x-gitlab-event"]
    except GitLabException:
        return False


def paypal(webhook_id, headers, body):
    """PayPal's own library says what is signed; it asks PayPal for the certificate, which here is a file."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509 import load_pem_x509_certificate
    from paypalrestsdk.notifications import WebhookEvent

    name, time = headers["paypal-transmission-id"], headers["paypal-transmission-time"]
    signed = WebhookEvent._get_expected_sig(name, time, webhook_id, body.decode())
    with open("certificate.pem", "rb") as pem:
        key = load_pem_x509_certificate(pem.read()).public_key()
    try:
        key.verify(base64.b64decode(headers["paypal-transmission-sig"]), signed.encode(), PKCS1v15(), SHA256())
        return True
    except InvalidSignature:
        return False


def v1a(key, headers, body):
    """Standard Webhooks, "Asymmetric signatures": Ed25519 over id, time and body, with points between them."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix("whpk_")))
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    try:
        public.verify(base64.b64decode(headers["webhook-signature"].removeprefix("v1a,")), signed)
        return True
    except InvalidSignature:
        return False


def bitbucket(secret, headers, body):
    """Bitbucket Cloud, "Secure webhooks": `X-Hub-Signature: sha256=` and the HMAC of the body."""
    return hmac.compare_digest(headers["x-hub-signature"], "sha256=" + mac(secret, body).hexdigest())


def intercom(secret, headers, body):
    """Intercom, "Signed notifications": `X-Hub-Signature: sha1=` and the HMAC of the body with SHA-1."""
    return hmac.compare_digest(headers["x-hub-signature"], "sha1=" + mac(secret, body, "sha1").hexdigest())


def zendesk(secret, headers, body):
    """Zendesk, "Verifying webhook authenticity": the HMAC of time and body, in base64."""
    expected = mac(secret, headers["x-zendesk-webhook-signature-timestamp"].encode() + body).digest()
    return hmac.compare_digest(headers["x-zendesk-webhook-signature"], base64.b64encode(expected).decode())


def pipedrive(secret, headers, body):
    """Pipedrive, "Guide for webhooks": HTTP basic authentication (RFC 7617)."""
    kind, _, credentials = headers["authorization"].partition(" ")
    return kind == "Basic" and hmac.compare_digest(base64.b64decode(credentials), secret.encode())


def typeform(secret, headers, body):
    """Typeform, "Secure your webhooks": `sha256=` and the HMAC of the body in base64."""
    expected = base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()
    return hmac.compare_digest(headers["typeform-signature"], "sha256=" + expected)


def woocommerce(secret, headers, body):
    """WooCommerce, "Webhooks": the HMAC of the body in base64."""
    expected = base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()
    return hmac.compare_digest(headers["x-wc-webhook-signature"], expected)


provider, secret = sys.argv[1:]
webhook = json.load(sys.stdin)
genuine = globals()[provider](secret, webhook["headers"], base64.b64decode(webhook["body"]))
sys.exit(0 if genuine is True else 3)
