import type { Fanwire } from '../client.js';
import type { FanwireError } from '../errors.js';
import type { Subscription } from '../subscription.js';
import type { Member, Message, SubscribeOptions, SubscriptionState } from '../types.js';

/** What one hook needs of a topic. */
export interface Need {
	last?: number | undefined;
	presence?: boolean | undefined;
	maxRate?: number | undefined;
	/** Most messages kept. */
	limit: number;
}

/** What the hooks show of a topic; a new object for every change. */
export interface View {
	state: SubscriptionState;
	/** The newest messages, oldest first. */
	messages: readonly Message[];
	/** The newest message of each key; those without a key under `''`. */
	latest: ReadonlyMap<string, Message>;
	members: readonly Member[];
	error: FanwireError | undefined;
	/** How often messages were lost: by a `gap`, or by a return that could not recover everything. */
	losses: number;
}

/** What is shown before there is anything. */
export const EMPTY: View = {
	state: 'subscribing',
	messages: [],
	latest: new Map(),
	members: [],
	error: undefined,
	losses: 0,
};

/** One topic of one client, shared by all hooks that use it: a client may subscribe to a topic only once. */
export class TopicStore {
	#view = EMPTY;
	#changes: Partial<View> = {};
	#messages: Message[] = [];
	#latest = new Map<string, Message>();
	/** There are messages that the view does not show yet. */
	#news = false;
	#dirty = false;
	#scheduled = false;
	#needs = new Map<object, Need>();
	#watchers = new Set<() => void>();
	#subscription: Subscription | undefined;
	#wanted = '';

	constructor(
		readonly client: Fanwire,
		readonly topic: string,
		readonly forget: () => void,
	) {}

	/** What there is now. */
	get view(): View {
		return this.#view;
	}

	/** A hook needs the topic from now on; the returned function ends that. */
	add(need: Need): () => void {
		const name = {};
		this.#needs.set(name, need);
		this.#settleSoon();
		return () => {
			this.#needs.delete(name);
			this.#settleSoon();
		};
	}

	/** Calls when `view` is another one; the returned function ends that. */
	watch(watcher: () => void): () => void {
		this.#watchers.add(watcher);
		return () => this.#watchers.delete(watcher);
	}

	/** Hooks come and go in groups within one commit (and twice in strict mode): what counts is what is left after it. */
	#settleSoon(): void {
		if (this.#scheduled) return;
		this.#scheduled = true;
		setTimeout(() => {
			this.#scheduled = false;
			this.#settle();
		}, 0);
	}

	#settle(): void {
		if (this.#needs.size === 0) return this.#release();
		const options = merge([...this.#needs.values()]);
		const { last, ...lasting } = options;
		const wanted = JSON.stringify(lasting);
		if (this.#subscription && wanted === this.#wanted) return;
		this.#wanted = wanted;
		const since = this.#subscription?.position;
		this.#subscription?.unsubscribe();
		this.#subscribe(since ? { ...lasting, since } : options);
	}

	#release(): void {
		this.#subscription?.unsubscribe();
		this.#subscription = undefined;
		this.forget();
	}

	#subscribe(options: SubscribeOptions): void {
		let subscription: Subscription;
		try {
			subscription = this.client.subscribe(this.topic, options);
		} catch (error) {
			return this.#change({ state: 'ended', error: error as FanwireError });
		}
		this.#subscription = subscription;
		const current = (change: () => void) => this.#subscription === subscription && change();
		const members = () => current(() => this.#change({ members: subscription.members }));
		const lost = () => this.#change({ losses: (this.#changes.losses ?? this.#view.losses) + 1 });
		subscription.on('message', (message) => this.#take(message));
		subscription.on('join', members);
		subscription.on('leave', members);
		subscription.on('gap', lost);
		subscription.on('recovered', ({ recovered }) => recovered || lost());
		subscription.on('error', (error) => this.#change({ error }));
		subscription.on('state', (state) =>
			current(() => this.#change(state === 'live' ? { state, error: undefined } : { state })),
		);
	}

	#take(message: Message): void {
		this.#messages.push(message);
		this.#latest.set(message.key ?? '', message);
		if (this.#messages.length > 2 * this.#limit) this.#messages.splice(0, this.#messages.length - this.#limit);
		this.#news = true;
		this.#change({});
	}

	/** All messages of one frame come in one turn, and cost one rendering. */
	#change(change: Partial<View>): void {
		this.#changes = { ...this.#changes, ...change };
		if (this.#dirty) return;
		this.#dirty = true;
		queueMicrotask(() => this.#publish());
	}

	#publish(): void {
		const news = this.#news && {
			messages: this.#messages.slice(-this.#limit || Infinity),
			latest: new Map(this.#latest),
		};
		this.#view = { ...this.#view, ...this.#changes, ...news };
		this.#changes = {};
		this.#dirty = this.#news = false;
		for (const watcher of [...this.#watchers]) watcher();
	}

	get #limit(): number {
		return Math.max(0, ...[...this.#needs.values()].map((need) => need.limit));
	}
}

/** One subscription that serves all. */
function merge(needs: Need[]): SubscribeOptions {
	const last = Math.max(...needs.map((need) => need.last ?? 0));
	const rates = needs.map((need) => need.maxRate);
	const options: SubscribeOptions = { last, presence: needs.some((need) => need.presence) };
	if (!rates.includes(undefined)) options.maxRate = Math.max(...(rates as number[]));
	return options;
}

const stores = new WeakMap<Fanwire, Map<string, TopicStore>>();

/** The store of a topic, the same for everyone who asks while it is in use. */
export function storeOf(client: Fanwire, topic: string): TopicStore {
	let topics = stores.get(client);
	if (!topics) stores.set(client, (topics = new Map()));
	const found = topics.get(topic);
	if (found) return found;
	const store = new TopicStore(client, topic, () => topics.delete(topic));
	topics.set(topic, store);
	return store;
}
