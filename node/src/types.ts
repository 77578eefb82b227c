import type { Source } from './content.js';
import type * as protocol from './protocol.js';

/** A result of which long lists may have been cut: `truncated` has the names of these, and how long they were. */
export type Cut<T> = T & { truncated?: Record<string, number> };

/** A snapshot. */
export type ISnapshot = protocol.Snapshot;

/** Of every call. */
export interface IBasicOptions {
  /** Ends the call. What it began is taken back. */
  signal?: AbortSignal;
}

/** How the program is found. */
interface BinaryOptions {
  /** Path of the program, instead of looking for it. */
  binary?: string;
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], null> };

/** Of `open`. */
export type IOpenOptions = BinaryOptions & Given<Omit<protocol.OpenParams, 'path'>>;

/** Of `init`. */
export type IInitOptions = BinaryOptions & Given<Omit<protocol.InitParams, 'path'>>;

/** What is said of a snapshot. */
export type About = Given<Omit<protocol.IngestCommandParams, 'items' | 'time'>> & {
  /** The time that the snapshot stands for; now if none is given. */
  time?: Date | string;
};

/** Of all that store. */
export type IIngestOptions = IBasicOptions & About;

/** What the item of a stream is called. */
export type IIngestItem = Pick<protocol.IngestItemParams, 'name'> & Given<Omit<protocol.IngestItemParams, 'name'>>;

/** One stream of several. */
export type IStreamItem = { stream: Source } & IIngestItem;

/** A file. */
export type IPathItem = Pick<protocol.PathItem, 'path'> & Given<Omit<protocol.PathItem, 'path'>>;

/** A command. */
export type ICommandItem = Pick<protocol.CommandItem, 'command' | 'name'> & Given<Pick<protocol.CommandItem, 'type'>>;

/** Of `restoreToPath`. */
export type IRestoreToPathOptions = IBasicOptions & Given<Omit<protocol.RestoreToPathParams, 'id' | 'path'>>;

/** Which snapshots: `after` ≤ time < `before`. */
export type IListOptions = IBasicOptions &
  Given<Pick<protocol.ListSnapshotsParams, 'tags' | 'series'>> & { after?: Date | string; before?: Date | string };

/** Of `verify`. */
export type IVerifyOptions = IBasicOptions & Given<protocol.VerifyParams>;

/** Which snapshots stay. */
export type IPruneRules = IBasicOptions & Given<Omit<protocol.PruneParams, 'dryRun'>>;

/** Of `status`. */
export type IStatusOptions = IBasicOptions & Given<protocol.StatusParams>;
