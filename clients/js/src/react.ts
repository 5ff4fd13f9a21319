/**
 * React hooks. Put a client above your components with {@link FanwireProvider}, then use topics anywhere below it;
 * components that use the same topic share one subscription.
 *
 * @module
 */
import {
	createContext,
	createElement,
	type ReactNode,
	useCallback,
	useContext,
	useEffect,
	useMemo,
	useState,
	useSyncExternalStore,
} from 'react';
import type { Fanwire } from './client.js';
import type { FanwireError } from './errors.js';
import { EMPTY, type Need, storeOf, type View } from './react/store.js';
import type { ClientState, Member, Message, PublishOptions, PublishResult, SubscriptionState } from './types.js';

/** Messages that `useTopic` keeps unless told otherwise. */
const KEPT_MESSAGES = 100;

const Context = createContext<Fanwire | undefined>(undefined);

/** Gives all components below it a client. Who makes the client closes it. */
export function FanwireProvider(props: { client: Fanwire; children?: ReactNode }): ReactNode {
	return createElement(Context.Provider, { value: props.client }, props.children);
}

/** The client of the provider above. */
export function useFanwire(): Fanwire {
	const client = useContext(Context);
	if (!client) throw new Error('there is no <FanwireProvider> above this component');
	return client;
}

/** Where the connection is. */
export function useConnectionState(): ClientState {
	const client = useFanwire();
	const watch = useCallback((changed: () => void) => client.on('state', changed), [client]);
	const state = () => client.state;
	return useSyncExternalStore(watch, state, state);
}

/** What every hook tells of its subscription. */
export interface Status {
	state: SubscriptionState;
	/** Why the broker refused, until it confirms. */
	error: FanwireError | undefined;
	/** Grows whenever messages may have been lost: load state anew when it changes. */
	losses: number;
}

/** Options of {@link useTopic}. */
export interface UseTopicOptions {
	/** Begin with this many past messages. Default 0. */
	last?: number;
	/** Keep this many messages. Default 100. */
	limit?: number;
}

/** What {@link useTopic} gives. */
export interface TopicHook<T> extends Status {
	/** The newest messages, oldest first. */
	messages: readonly Message<T>[];
	/** {@link Fanwire.publish} to this topic. */
	publish(data: T, options?: PublishOptions): Promise<PublishResult>;
}

/** The messages of a topic. */
export function useTopic<T = unknown>(topic: string, options: UseTopicOptions = {}): TopicHook<T> {
	const { last, limit = KEPT_MESSAGES } = options;
	const { state, error, losses, messages } = useView(topic, { last, limit });
	const newest = useMemo(() => messages.slice(Math.max(0, messages.length - limit)), [messages, limit]);
	const client = useFanwire();
	const publish = useCallback((data: T, how?: PublishOptions) => client.publish(topic, data, how), [client, topic]);
	return { state, error, losses, publish, messages: newest as Message<T>[] };
}

/** What {@link usePresence} gives. */
export interface PresenceHook extends Status {
	/** Who is there, this client included. */
	members: readonly Member[];
}

/** Who is subscribed to a topic. Using it subscribes, too. */
export function usePresence(topic: string): PresenceHook {
	const { state, error, losses, members } = useView(topic, { presence: true, limit: 0 });
	return { state, error, losses, members };
}

/** Options of {@link useLatest}. */
export interface UseLatestOptions {
	/** At most this many updates a second. */
	maxRate?: number;
}

/** What {@link useLatest} gives. */
export interface LatestHook<T> extends Status {
	/** The newest message of each key; those without a key under `''`. */
	latest: ReadonlyMap<string, Message<T>>;
}

/** The newest message of each key of a topic of kind `latest`. */
export function useLatest<T = unknown>(topic: string, options: UseLatestOptions = {}): LatestHook<T> {
	const { state, error, losses, latest } = useView(topic, { maxRate: options.maxRate, limit: 0 });
	return { state, error, losses, latest: latest as ReadonlyMap<string, Message<T>> };
}

function useView(topic: string, { last, presence, maxRate, limit }: Need): View {
	const client = useFanwire();
	const [store, setStore] = useState<ReturnType<typeof storeOf>>();
	useEffect(() => {
		const used = storeOf(client, topic);
		setStore(used);
		return used.add({ last, presence, maxRate, limit });
	}, [client, topic, last, presence, maxRate, limit]);
	const own = store?.client === client && store.topic === topic ? store : undefined;
	const watch = useCallback((changed: () => void) => own?.watch(changed) ?? (() => {}), [own]);
	const view = () => own?.view ?? EMPTY;
	return useSyncExternalStore(watch, view, () => EMPTY);
}
