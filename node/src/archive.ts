import type { ReadableStream as WebStream } from 'node:stream/web';
import { Readable } from 'node:stream';
import { Subject, type Subscription } from 'rxjs';

import { contentOf, type Content, type Source } from './content.js';
import { Engine, type Events, type Method, type Methods, type OpenedStream, type Sent } from './engine.js';
import { ContainerArchiveError, UsageError, abortError, errorOf, sourceError } from './errors.js';
import type * as protocol from './protocol.js';
import { Pump } from './pump.js';
import { RestoreStream, closedError } from './restore.js';
import type {
  About,
  Cut,
  IBasicOptions,
  ICommandItem,
  IIngestItem,
  IIngestOptions,
  IInitOptions,
  IListOptions,
  IOpenOptions,
  IPathItem,
  IPruneRules,
  IRestoreToPathOptions,
  ISnapshot,
  IStatusOptions,
  IStreamItem,
  IVerifyOptions,
} from './types.js';

/** Starts a process, which has the repository open then. */
type Start = () => Promise<Engine>;

/**
 * An open repository. All its calls may go on at once; they share one engine process, which is started again if it
 * was killed. For that, the passphrase stays in memory until `close`.
 */
export class ContainerArchive implements AsyncDisposable {
  readonly #start: Start;
  readonly #events: Subject<{ event: string; data: unknown }>;
  #engine: Promise<Engine>;
  #closed: Promise<void> | undefined;

  private constructor(start: Start, events: Subject<{ event: string; data: unknown }>, engine: Engine) {
    this.#start = start;
    this.#events = events;
    this.#engine = Promise.resolve(engine);
  }

  /**
   * Makes a repository in a folder that is empty or not there. Without passphrase and key file it is not encrypted; one
   * that is given and undefined, as a variable that is not set, is an error.
   */
  static async init(path: string, options: IInitOptions = {}): Promise<ContainerArchive> {
    const { binary, passphrase, keyFile, ...settings } = checked(options);
    refuseUnsetSecrets(options);
    const first = { method: 'init', params: { path, passphrase, keyFile, ...settings } } as const;
    return ContainerArchive.#make(binary, first, { path, passphrase, keyFile });
  }

  /** Opens a repository. */
  static async open(path: string, options: IOpenOptions = {}): Promise<ContainerArchive> {
    const { binary, ...credentials } = checked(options);
    const params = { path, ...credentials };
    return ContainerArchive.#make(binary, { method: 'open', params }, params);
  }

  static async #make(
    binary: string | undefined,
    first: { method: 'init'; params: protocol.InitParams } | { method: 'open'; params: protocol.OpenParams },
    again: protocol.OpenParams,
  ): Promise<ContainerArchive> {
    const events = new Subject<{ event: string; data: unknown }>();
    const tell = (event: string, data: unknown) => events.next({ event, data });
    const open = async <M extends Method>(method: M, params: Methods[M]['params']): Promise<Engine> => {
      const engine = await Engine.start(binary, tell);
      try {
        await engine.request(method, params);
      } catch (error) {
        await engine.end();
        throw error;
      }
      return engine;
    };
    const engine = await open(first.method, first.params);
    return new ContainerArchive(() => open('open', again), events, engine);
  }

  /** Stores one stream: one snapshot, with one item. */
  async ingest(source: Source, options: IIngestOptions & { items?: IIngestItem[] } = {}): Promise<ISnapshot> {
    return this.#ingestStreams([source], options, ({ items, ...about }, engine, [streamId = '']) =>
      engine.send('ingest', { streamId, ...(items && { items }), ...texts(about) }),
    );
  }

  /** Stores several streams, which are read at once, in one snapshot. If one of them fails there is none. */
  async ingestMulti(streams: IStreamItem[], options: IIngestOptions = {}): Promise<ISnapshot> {
    const sources = list(streams).map(({ stream }) => stream);
    return this.#ingestStreams(sources, options, (about, engine, ids) => {
      const items = streams.map(({ stream: _, ...item }, index) => ({ ...item, streamId: ids[index] ?? '' }));
      return engine.send('ingestMulti', { streams: items, ...texts(about) });
    });
  }

  /** Stores files, which the engine reads itself. */
  async ingestPath(items: (string | IPathItem)[], options: IIngestOptions = {}): Promise<ISnapshot> {
    const { signal, ...about } = checked(options);
    const named = list(items).map((item) => (typeof item === 'string' ? { path: item } : item));
    return this.#snapshot(await this.#call('ingestPath', { items: named, ...texts(about) }, signal));
  }

  /** Stores what commands print, which run under `bash -o pipefail`. If one fails there is no snapshot. */
  async ingestCommand(items: ICommandItem[], options: IIngestOptions = {}): Promise<ISnapshot> {
    const { signal, ...about } = checked(options);
    return this.#snapshot(await this.#call('ingestCommand', { items, ...texts(about) }, signal));
  }

  /** Content of an item, or of all items one after the other. Errors are errors of the stream. */
  restore(id: string, options: { item?: string; signal?: AbortSignal } = {}): Readable {
    try {
      const { signal, ...wishes } = checked(options);
      return new RestoreStream(() => this.#open(), { id, ...wishes }, signal);
    } catch (error) {
      return new Readable().destroy(error as Error);
    }
  }

  /** The same as a stream of the web. */
  restoreWeb(id: string, options: { item?: string; signal?: AbortSignal } = {}): WebStream<Uint8Array> {
    return Readable.toWeb(this.restore(id, options)) as WebStream<Uint8Array>;
  }

  /** Writes items into a folder; no content passes through this process. */
  async restoreToPath(id: string, path: string, options: IRestoreToPathOptions = {}): Promise<protocol.RestoreResult> {
    const { signal, ...wishes } = checked(options);
    return this.#call('restoreToPath', { id, path, ...wishes }, signal);
  }

  /** The snapshots that match, oldest first. */
  async listSnapshots(options: IListOptions = {}): Promise<ISnapshot[]> {
    const { signal, after, before, ...filter } = checked(options);
    const wishes = { ...filter, after: text(after), before: text(before) };
    const snapshots: ISnapshot[] = [];
    let cursor: string | null | undefined;
    do {
      const page: protocol.ListSnapshotsResult = await this.#call('listSnapshots', { ...wishes, cursor }, signal);
      for (const snapshot of page.snapshots) {
        snapshots.push(await this.#snapshot(snapshot));
      }
      cursor = page.cursor;
    } while (cursor != null);
    return snapshots;
  }

  /** One snapshot: its id, the beginning of it, `latest` or `latest~N`. */
  async getSnapshot(id: string, options: IBasicOptions = {}): Promise<ISnapshot> {
    return this.#snapshot(await this.#call('getSnapshot', { id }, checked(options).signal));
  }

  /** Looks for damage. That there is some is no error but what the result says. */
  async verify(options: IVerifyOptions = {}): Promise<Cut<protocol.VerifyResult>> {
    const { signal, ...wishes } = checked(options);
    return this.#call('verify', wishes, signal);
  }

  /** Removes the snapshots that no rule keeps, and what no snapshot needs. Without rules no snapshot goes. */
  async prune(rules: IPruneRules = {}, dryRun = false): Promise<Cut<protocol.PruneResult>> {
    const { signal, ...wishes } = checked(rules);
    return this.#call('prune', { ...wishes, dryRun }, signal);
  }

  /** Removes snapshots. */
  async forget(ids: string[], options: IBasicOptions = {}): Promise<Cut<protocol.ForgetResult>> {
    return this.#call('forget', { ids }, checked(options).signal);
  }

  /** Mends what is damaged. */
  async repair(options: IBasicOptions & { dryRun?: boolean } = {}): Promise<Cut<protocol.RepairResult>> {
    const { signal, ...wishes } = checked(options);
    return this.#call('repair', wishes, signal);
  }

  /** Makes the index anew from the packs. */
  async reindex(options: IBasicOptions = {}): Promise<protocol.ReindexResult> {
    return this.#call('reindex', {}, checked(options).signal);
  }

  /** Ends the sessions of processes that are gone; with `force`, all. */
  async unlock(options: IBasicOptions & { force?: boolean } = {}): Promise<Cut<protocol.UnlockResult>> {
    const { signal, ...wishes } = checked(options);
    return this.#call('unlock', wishes, signal);
  }

  /** What the repository holds. */
  async stats(options: IBasicOptions = {}): Promise<protocol.StatsResult> {
    return this.#call('stats', {}, checked(options).signal);
  }

  /** Whether backups are fresh and sound. */
  async status(options: IStatusOptions = {}): Promise<Cut<protocol.StatusResult>> {
    const { signal, ...wishes } = checked(options);
    return this.#call('status', wishes, signal);
  }

  /** The repository itself. */
  async info(options: IBasicOptions = {}): Promise<protocol.RepositoryInfo> {
    return this.#call('info', {}, checked(options).signal);
  }

  /** Tells events until the subscription ends. */
  on<E extends keyof Events>(event: E, handler: (data: Events[E]) => void): Subscription {
    return this.#events.subscribe((told) => {
      if (told.event === event) {
        handler(told.data as Events[E]);
      }
    });
  }

  /** Ends what goes on, and the engine process. */
  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #end(): Promise<void> {
    const engine = await this.#engine.catch(() => undefined);
    await engine?.end();
    this.#events.complete();
  }

  /** The engine, started again if it was killed. */
  async #open(): Promise<Engine> {
    if (this.#closed !== undefined) {
      throw closedError();
    }
    const before = this.#engine;
    const engine = await before.catch(() => undefined);
    if (engine !== undefined && engine.gone === undefined) {
      return engine;
    }
    // Only the first one that notices starts a new one.
    if (this.#engine === before && this.#closed === undefined) {
      this.#engine = this.#start();
      this.#engine.catch(() => {});
      return this.#engine;
    }
    return this.#open();
  }

  async #call<M extends Method>(
    method: M,
    params: Methods[M]['params'],
    signal: AbortSignal | undefined,
  ): Promise<Methods[M]['result']> {
    if (signal?.aborted) {
      throw abortError(signal);
    }
    const engine = await this.#open();
    const { id, result } = engine.send(method, params);
    return abortable(result, signal, () => engine.cancel(id));
  }

  async #ingestStreams<O extends IBasicOptions>(
    sources: Source[],
    options: O,
    send: (about: Omit<O, 'signal'>, engine: Engine, streamIds: string[]) => Sent<protocol.Snapshot>,
  ): Promise<ISnapshot> {
    const contents = contentsOf(sources);
    const pumps = contents.map((content) => new Pump(content));
    try {
      const { signal, ...about } = checked(options);
      if (signal?.aborted) {
        throw abortError(signal);
      }
      const engine = await this.#open();
      const streams = await openStreams(engine, contents.length);
      const { id, result } = send(about, engine, streams.map(({ streamId }) => streamId));
      const cancel = () => engine.cancel(id);
      for (const [index, pump] of pumps.entries()) {
        const socket = streams[index]?.socket;
        if (socket !== undefined) {
          pump.run(socket).then(() => pump.failure && cancel());
          result.then(() => socket.destroy(), (error: Error) => pump.stop(error));
        }
      }
      return await this.#snapshot(await abortable(result, signal, cancel));
    } catch (error) {
      const failed = pumps.find(({ failure }) => failure !== undefined)?.failure;
      throw failed === undefined ? error : sourceError(failed.error);
    } finally {
      contents.forEach((content) => content.release(undefined));
    }
  }

  /** With all items: replies have a largest size, and long lists come in pages. */
  async #snapshot(snapshot: Cut<protocol.Snapshot>): Promise<ISnapshot> {
    const { truncated, ...whole } = snapshot;
    if (truncated?.['items'] === undefined) {
      return whole;
    }
    whole.items = [];
    let cursor: number | null | undefined;
    do {
      const page: protocol.ListItemsResult = await this.#call('listItems', { id: whole.id, cursor }, undefined);
      whole.items.push(...page.items);
      cursor = page.cursor;
    } while (cursor != null);
    return whole;
  }
}

/** All sources, or none. */
function contentsOf(sources: Source[]): Content[] {
  const contents: Content[] = [];
  try {
    if (sources.length === 0) {
      throw new UsageError('E_USAGE', 'there are no streams to store');
    }
    sources.forEach((source) => contents.push(contentOf(source)));
    return contents;
  } catch (error) {
    contents.forEach((content) => content.release(undefined));
    throw error instanceof ContainerArchiveError ? error : sourceError(error);
  }
}

/** All streams, or none. */
async function openStreams(engine: Engine, count: number): Promise<OpenedStream[]> {
  const opening = Array.from({ length: count }, () => engine.openStream());
  try {
    return await Promise.all(opening);
  } catch (error) {
    opening.forEach((stream) => stream.then(({ socket }) => socket.destroy(), () => {}));
    throw error;
  }
}

/** Nobody shall find out later that a backup is not encrypted. */
function refuseUnsetSecrets(options: IInitOptions): void {
  const secrets = ['passphrase', 'keyFile'] as const;
  const given = secrets.find((name) => Object.hasOwn(options, name));
  if (given !== undefined && secrets.every((name) => (options[name] ?? null) === null)) {
    throw new UsageError('E_USAGE', `the option \`${given}\` is ${options[given]}, as a variable that is not set`, {
      advice: 'leave it out for a repository that is not encrypted',
    });
  }
}

/**
 * Options. Not every caller has a compiler that looks at types.
 *
 * @throws UsageError if they are none, or the signal is none.
 */
function checked<O extends object>(options: O & IBasicOptions): O & IBasicOptions {
  if (typeof options !== 'object' || options === null) {
    throw new UsageError('E_USAGE', 'options are an object');
  }
  const signal: Partial<AbortSignal> | null | undefined = options.signal;
  if (signal === null) {
    return { ...options, signal: undefined };
  }
  if (signal !== undefined && (typeof signal.aborted !== 'boolean' || typeof signal.addEventListener !== 'function')) {
    throw new UsageError('E_USAGE', 'the option `signal` is no AbortSignal');
  }
  return options;
}

/** @throws UsageError if it is no list of something. */
function list<T>(items: T[]): T[] {
  if (!Array.isArray(items) || items.some((item) => item === null || item === undefined)) {
    throw new UsageError('E_USAGE', 'what is to be stored is a list, with an object for each item');
  }
  return items;
}

/** Waits for a result. If the signal is aborted before, the engine is told, and what it did is awaited. */
async function abortable<T>(result: Promise<T>, signal: AbortSignal | undefined, cancel: () => void): Promise<T> {
  if (signal === undefined) {
    return result;
  }
  signal.addEventListener('abort', cancel, { once: true });
  try {
    if (signal.aborted) {
      cancel();
    }
    return await result;
  } catch (error) {
    const isAborted = signal.aborted && (error as { code?: string }).code === 'E_CANCELLED';
    throw isAborted ? abortError(signal) : error;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

function text(time: Date | string | undefined): string | undefined {
  if (time instanceof Date && Number.isNaN(time.getTime())) {
    throw errorOf('E_USAGE', 'a time is no valid date');
  }
  return time instanceof Date ? time.toISOString() : time;
}

function texts({ time, ...rest }: About): Omit<About, 'time'> & { time?: string | undefined } {
  return { ...rest, time: text(time) };
}
