"""Signs with the providers' own Python libraries: `sign.py slack|paddle SECRET TIMESTAMP`, the body on standard input."""

import sys

provider, secret, timestamp = sys.argv[1:]
body = sys.stdin.buffer.read().decode()
if provider == "slack":
    from slack_sdk.signature import SignatureVerifier

    print(SignatureVerifier(secret).generate_signature(timestamp=timestamp, body=body))
elif provider == "paddle":
    from paddle_billing.Notifications.PaddleSignature import PaddleSignature

    print(PaddleSignature.calculate_hmac(secret, f"{timestamp}:{body}".encode()).hexdigest())
else:
    sys.exit(f"no such provider: {provider}")
