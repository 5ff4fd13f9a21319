import type { Backoff } from './backoff.js';
import { Cursor } from './cursor.js';
import { Emitter } from './emitter.js';
import { FanwireError, passes, refusal } from './errors.js';
import { MessageIterator } from './iterator.js';
import { ITERATOR_BUFFER } from './limits.js';
import type { Member, Message, Position, SubscribeOptions, SubscriptionEvents, SubscriptionState } from './types.js';
import { type Command, type OkEvent, type Reply, type SubscribedEvent, type TopicEvent, toMessage } from './wire.js';

/** Sends a command on the present connection. @internal */
export type Request = (command: Command, answered: (reply: Reply) => void) => void;

/**
 * A topic that this client listens to, over all its connections.
 *
 * Messages come by increasing offset, each at most once. After a lost connection those that were missed come first; where
 * the broker cannot prove that they are all there, `recovered` says so, and `gap` where a part is gone.
 *
 * Read it with {@link Subscription.on}, or with `for await (const message of subscription)`.
 */
export class Subscription<T = unknown> extends Emitter<SubscriptionEvents<T>> implements AsyncIterable<Message<T>> {
	#state: SubscriptionState = 'subscribing';
	#members = new Map<string, Member>();
	#iterators = new Set<MessageIterator<Message<T>>>();
	#request: Request | undefined;
	#ended: FanwireError | undefined;
	#retry: ReturnType<typeof setTimeout> | undefined;
	readonly #cursor: Cursor;
	readonly #backoff: Backoff;
	readonly #remove: () => void;

	/** @internal */
	constructor(
		/** What it listens to. */
		readonly topic: string,
		readonly options: Readonly<SubscribeOptions>,
		backoff: Backoff,
		remove: () => void,
		/** The broker makes it, on every connection where it does; nobody asks for it. */
		readonly byBroker = false,
	) {
		super();
		this.#cursor = new Cursor(options);
		this.#backoff = backoff;
		this.#remove = remove;
	}

	/** Where it is. */
	get state(): SubscriptionState {
		return this.#state;
	}

	/** The last message's place, or the place where it began: a `since` for a later session. */
	get position(): Position | undefined {
		return this.#cursor.position;
	}

	/** With `presence`: who is there, this client included. */
	get members(): Member[] {
		return [...this.#members.values()];
	}

	/** Resolves when the broker confirmed; rejects if it ends before. */
	async ready(): Promise<void> {
		if (this.#state === 'live') return;
		await new Promise<void>((resolve, reject) => {
			if (this.#ended) reject(this.#ended);
			const done = () => {
				offLive();
				offEnd();
			};
			const offLive = this.on('state', (state) => {
				if (state !== 'live') return;
				done();
				resolve();
			});
			const offEnd = this.on('end', (error) => {
				done();
				reject(error);
			});
		});
	}

	/** Stops listening. Nothing comes after this. */
	unsubscribe(): void {
		this._end(unsubscribed());
	}

	/**
	 * The messages from now on, in a buffer of their own. Ends with the subscription: quietly after `unsubscribe` or
	 * `close`, otherwise by throwing why. Leaving the loop does not unsubscribe.
	 */
	[Symbol.asyncIterator](): MessageIterator<Message<T>> {
		const { buffer = ITERATOR_BUFFER, overflow } = this.options;
		const detach = (self: MessageIterator<Message<T>>) => this.#iterators.delete(self);
		const iterator = new MessageIterator<Message<T>>(buffer, overflow === 'drop-oldest', detach);
		if (this.#state === 'ended') iterator.finish();
		else this.#iterators.add(iterator);
		return iterator;
	}

	/** There is a connection. @internal */
	_online(request: Request): void {
		this.#request = request;
		if (!this.byBroker) this.#ask();
	}

	/** The broker has made it. One that the program asks for is asked for anew, to go on where it was. @internal */
	_made(event: SubscribedEvent): void {
		if (this.byBroker && this.#state !== 'ended') this.#confirmed(event);
	}

	/** There is none. @internal */
	_offline(): void {
		this.#request = undefined;
		this.#suspend();
	}

	/** An event of this topic. @internal */
	_event(event: TopicEvent): void {
		if (this.#state !== 'live') return;
		if (event.type === 'message') {
			if (this.#cursor.advance(event.offset, event.key !== undefined)) {
				this.#deliver(toMessage<T>(event, this.#cursor.epoch));
			}
		} else if (event.type === 'gap') {
			const { epoch, after, next } = event;
			this.#cursor.skip(epoch, next);
			this.emit('gap', { epoch, after, next });
		} else if (event.type === 'end') {
			this.#suspend();
			this.#failed(new FanwireError(event.code, 'the broker ended the subscription', passes(event.code)));
		} else this.#moved(event.type, event);
	}

	/** It is over. @internal */
	_end(error: FanwireError): void {
		if (this.#ended) return;
		this.#ended = error;
		clearTimeout(this.#retry);
		if (this.#request && error.code === 'unsubscribed') {
			this.#request({ type: 'unsubscribe', topic: this.topic }, () => {});
		}
		this.#remove();
		this.#set('ended');
		const asked = error.code === 'unsubscribed' || error.code === 'closed';
		for (const iterator of [...this.#iterators]) iterator.finish(asked ? undefined : error);
		super.emit('end', error);
	}

	/** Whoever ends the subscription from within a listener hears nothing more. */
	protected override emit<Name extends keyof SubscriptionEvents<T>>(
		name: Name,
		payload: SubscriptionEvents<T>[Name],
	): void {
		if (this.#state !== 'ended') super.emit(name, payload);
	}

	#ask(): void {
		const { presence, maxRate } = this.options;
		const fields = { ...this.#cursor.request(), presence: presence || undefined, max_rate: maxRate };
		this.#request?.({ type: 'subscribe', topic: this.topic, ...fields }, (reply) => this.#answered(reply));
	}

	#answered(reply: Reply): void {
		if (this.#state === 'ended' || reply.type === 'pong') return;
		if (reply.type === 'ok') return this.#confirmed(reply);
		if (reply.code !== 'already_subscribed') return this.#failed(refusal(reply));
		// The broker was first. It does not know where this subscription was, nor its options.
		this.#request?.({ type: 'unsubscribe', topic: this.topic }, () => {});
		this.#ask();
	}

	#confirmed(reply: OkEvent | SubscribedEvent): void {
		this.#backoff.reset();
		const recovered = this.#cursor.confirm(reply);
		this.#set('live');
		if (recovered !== undefined) this.emit('recovered', { recovered, epoch: reply.epoch, offset: reply.offset });
		if (reply.members) this.#compare(reply.members);
	}

	#failed(error: FanwireError): void {
		this.emit('error', error);
		if (!error.retry) this._end(error);
		else if (this.#request) this.#retry = setTimeout(() => this.#ask(), this.#backoff.next());
	}

	#suspend(): void {
		clearTimeout(this.#retry);
		if (this.#state === 'live') this.#set('subscribing');
	}

	#deliver(message: Message<T>): void {
		for (const iterator of [...this.#iterators]) iterator.push(message);
		this.emit('message', message);
	}

	/** After a reconnection, those who came and went meanwhile are told apart by the list. */
	#compare(now: Member[]): void {
		const here = new Set(now.map((member) => member.client));
		for (const member of this.members) if (!here.has(member.client)) this.#moved('leave', member);
		for (const member of now) this.#moved('join', member);
	}

	#moved(type: 'join' | 'leave', { client, user }: Member): void {
		const known = this.#members.has(client);
		if (known === (type === 'join')) return;
		const member: Member = user === undefined ? { client } : { client, user };
		if (known) this.#members.delete(client);
		else this.#members.set(client, member);
		this.emit(type, member);
	}

	#set(state: SubscriptionState): void {
		this.#state = state;
		super.emit('state', state);
	}
}

function unsubscribed(): FanwireError {
	return new FanwireError('unsubscribed', 'this subscription was given up');
}
