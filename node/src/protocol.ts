// Written by `npm run generate` from docs/rpc.schema.json. What is changed here is lost.

/**
 * A passphrase, wiped when it is dropped.
 */
export type SecretText = string;
/**
 * How deep to look.
 */
export type Level = 'quick' | 'standard' | 'full';

/**
 * What the engine process is asked, and what it answers. Written by `cargo xtask schema`.
 */
export interface Protocol {
  errorCode:
    | 'E_FAILED'
    | 'E_USAGE'
    | 'E_SOURCE'
    | 'E_NO_REPOSITORY'
    | 'E_EXISTS'
    | 'E_HELD'
    | 'E_KEY'
    | 'E_CAPABILITY'
    | 'E_ROLLBACK'
    | 'E_MENDABLE'
    | 'E_DAMAGED'
    | 'E_NOT_FOUND'
    | 'E_PINNED'
    | 'E_STALE'
    | 'E_FULL'
    | 'E_NETWORK'
    | 'E_VERSION'
    | 'E_CANCELLED';
  errorInfo: ErrorInfo;
  events: {
    'ingest:complete': CompleteEvent;
    'ingest:progress': ProgressEvent;
    problem: ProblemEvent;
    'protocol:error': ProtocolErrorEvent;
    'prune:progress': ProgressEvent;
    ready: Ready;
    'reindex:progress': ProgressEvent;
    'repair:progress': ProgressEvent;
    'restore:progress': ProgressEvent;
    'verify:error': VerifyErrorEvent;
    'verify:progress': ProgressEvent;
  };
  methods: {
    cancel: {
      params: CancelParams;
      result: CancelResult;
    };
    close: {
      params: NoParams;
      result: NoResult;
    };
    forget: {
      params: ForgetParams;
      result: ForgetResult;
    };
    getSnapshot: {
      params: GetSnapshotParams;
      result: Snapshot;
    };
    info: {
      params: NoParams;
      result: RepositoryInfo;
    };
    ingest: {
      params: IngestParams;
      result: Snapshot;
    };
    ingestCommand: {
      params: IngestCommandParams;
      result: Snapshot;
    };
    ingestMulti: {
      params: IngestMultiParams;
      result: Snapshot;
    };
    ingestPath: {
      params: IngestPathParams;
      result: Snapshot;
    };
    init: {
      params: InitParams;
      result: RepositoryInfo;
    };
    listItems: {
      params: ListItemsParams;
      result: ListItemsResult;
    };
    listSnapshots: {
      params: ListSnapshotsParams;
      result: ListSnapshotsResult;
    };
    open: {
      params: OpenParams;
      result: RepositoryInfo;
    };
    prune: {
      params: PruneParams;
      result: PruneResult;
    };
    reindex: {
      params: NoParams;
      result: ReindexResult;
    };
    repair: {
      params: RepairParams;
      result: RepairResult;
    };
    restore: {
      params: RestoreParams;
      result: RestoreResult;
    };
    restoreToPath: {
      params: RestoreToPathParams;
      result: RestoreResult;
    };
    shutdown: {
      params: NoParams;
      result: NoResult;
    };
    stats: {
      params: NoParams;
      result: StatsResult;
    };
    status: {
      params: StatusParams;
      result: StatusResult;
    };
    streamOpen: {
      params: NoParams;
      result: StreamOpenResult;
    };
    unlock: {
      params: UnlockParams;
      result: UnlockResult;
    };
    verify: {
      params: VerifyParams;
      result: VerifyResult;
    };
  };
}
/**
 * Why a request failed, or why a line is none.
 */
export interface ErrorInfo {
  /**
   * One of `docs/ERRORS.md`.
   */
  code: string;
  details: ErrorDetails;
  /**
   * The same request may succeed later without anybody doing anything.
   */
  retryable: boolean;
}
/**
 * More about an error.
 */
export interface ErrorDetails {
  /**
   * What to do.
   */
  advice: string;
  /**
   * What the command line would end with.
   */
  exitCode: number;
  /**
   * What happened and why.
   */
  message: string;
}
/**
 * `ingest:complete`: the snapshot was acknowledged.
 */
export interface CompleteEvent {
  chunkCount: number;
  newChunks: number;
  originalSize: number;
  requestId: string;
  reusedChunks: number;
  snapshotId: string;
  storedSize: number;
}
/**
 * `ingest:progress` and the like.
 */
export interface ProgressEvent {
  bytes: number;
  /**
   * What is being worked on.
   */
  message: string;
  /**
   * `ingest`, `restore`, `verify`, `prune`, `repair`, `reindex` …
   */
  operation: string;
  /**
   * 0 to 100, at most 99 until the end; null where the size is not known.
   */
  percentage: number | null;
  /**
   * Bytes per second since the last report.
   */
  rate: number;
  requestId: string;
  totalBytes: number | null;
}
/**
 * `problem`: something that does not end the request.
 */
export interface ProblemEvent {
  problem: Problem;
  requestId: string;
}
/**
 * Something that did not end the command.
 */
export interface Problem {
  /**
   * `mended`, `damaged` or `warning`.
   */
  kind: string;
  object?: string | null;
  text: string;
}
/**
 * `protocol:error`: a line that is no request, or has no id.
 */
export interface ProtocolErrorEvent {
  error: ErrorInfo;
}
/**
 * The first event.
 */
export interface Ready {
  pid: number;
  /**
   * Of the protocol.
   */
  protocol: number;
  /**
   * The folder of the sockets, to be removed by whoever kills the engine.
   */
  socketFolder: string;
  /**
   * Of this program.
   */
  version: string;
}
/**
 * `verify:error`: something that verify found.
 */
export interface VerifyErrorEvent {
  /**
   * The first chunk that a snapshot lacks because of it.
   */
  chunk: string | null;
  error: string;
  object: string;
  pack: string | null;
  repairable: boolean;
  requestId: string;
  /**
   * The first snapshot that is hurt, if one is; `snapshots` has all.
   */
  snapshot: string | null;
  snapshots: VerifyHurt[];
}
export interface VerifyHurt {
  id: string;
  /**
   * Null: all of the snapshot.
   */
  item: string | null;
}
/**
 * `cancel`
 */
export interface CancelParams {
  /**
   * The id of the request that shall end.
   */
  requestId: string;
}
/**
 * `cancel`
 */
export interface CancelResult {
  /**
   * Whether there was such a request.
   */
  cancelled: boolean;
}
/**
 * Nothing.
 */
export interface NoParams {}
/**
 * Nothing.
 */
export interface NoResult {}
/**
 * `forget`
 */
export interface ForgetParams {
  /**
   * Whole ids, or beginnings.
   */
  ids: string[];
}
export interface ForgetResult {
  dryRun: boolean;
  /**
   * What is gone now, or would be.
   */
  forgotten: string[];
  /**
   * What stays as it is, because somebody reads it.
   */
  inUse: ForgetInUse[];
}
export interface ForgetInUse {
  holder: string;
  id: string;
}
/**
 * `getSnapshot`
 */
export interface GetSnapshotParams {
  /**
   * The id, the beginning of it, `latest` or `latest~N`.
   */
  id: string;
}
/**
 * A snapshot.
 */
export interface Snapshot {
  chunkCount: number;
  createdAt: string;
  durationMs: number;
  host: string;
  id: string;
  items: Item[];
  newChunks: number;
  originalSize: number;
  /**
   * No rule and no `forget` removes it.
   */
  pinned: boolean;
  reusedChunks: number;
  series: string;
  storedSize: number;
  tags: {
    [k: string]: string;
  };
  user: string;
  version: number;
}
export interface Item {
  /**
   * Of a captured command.
   */
  evidence?: {
    [k: string]: unknown;
  };
  name: string;
  size: number;
  type: string;
}
/**
 * A repository.
 */
export interface RepositoryInfo {
  capability: string;
  /**
   * @minItems 3
   * @maxItems 3
   */
  chunkSize: [number, number, number];
  compression: string;
  createdAt: string;
  encrypted: boolean;
  key: string | null;
  location: string;
  packSize: number;
  parity: string;
  repository: string;
}
/**
 * `ingest`: one stream, one snapshot.
 */
export interface IngestParams {
  /**
   * Fail, without a snapshot, if the last 4 KiB do not contain this.
   */
  expectTail?: string | null;
  /**
   * At most one: the name, type and size of the stream.
   */
  items?: IngestItemParams[] | null;
  /**
   * Fail, without a snapshot, if the item is smaller, in bytes.
   */
  minSize?: number | null;
  series?: string | null;
  /**
   * Of `streamOpen`.
   */
  streamId: string;
  tags?: {
    [k: string]: string;
  } | null;
  /**
   * The time that the snapshot stands for, RFC 3339; now if none is given.
   */
  time?: string | null;
}
/**
 * What an item is called.
 */
export interface IngestItemParams {
  /**
   * A relative path.
   */
  name: string;
  /**
   * Bytes where known, for progress.
   */
  size?: number | null;
  /**
   * A word of the user's own; `stream` if none is given.
   */
  type?: string | null;
}
/**
 * `ingestCommand`: the output of commands, which run under `bash -o pipefail`. If one fails there is no snapshot.
 */
export interface IngestCommandParams {
  /**
   * Fail, without a snapshot, if the last 4 KiB of an item do not contain this.
   */
  expectTail?: string | null;
  items: CommandItem[];
  /**
   * Fail, without a snapshot, if an item is smaller, in bytes.
   */
  minSize?: number | null;
  series?: string | null;
  tags?: {
    [k: string]: string;
  } | null;
  /**
   * The time that the snapshot stands for, RFC 3339; now if none is given.
   */
  time?: string | null;
}
/**
 * A command.
 */
export interface CommandItem {
  command: string;
  /**
   * Of the item.
   */
  name: string;
  /**
   * A word of the user's own; `stream` if none is given.
   */
  type?: string | null;
}
/**
 * `ingestMulti`: several streams, one snapshot.
 */
export interface IngestMultiParams {
  /**
   * Fail, without a snapshot, if the last 4 KiB of an item do not contain this.
   */
  expectTail?: string | null;
  /**
   * Fail, without a snapshot, if an item is smaller, in bytes.
   */
  minSize?: number | null;
  series?: string | null;
  streams: StreamItem[];
  tags?: {
    [k: string]: string;
  } | null;
  /**
   * The time that the snapshot stands for, RFC 3339; now if none is given.
   */
  time?: string | null;
}
/**
 * A stream of an ingest.
 */
export interface StreamItem {
  /**
   * Of the item: a relative path. `data`, where it is the only one and not named.
   */
  name?: string | null;
  /**
   * Bytes where known, for progress.
   */
  size?: number | null;
  /**
   * Of `streamOpen`.
   */
  streamId: string;
  /**
   * A word of the user's own; `stream` if none is given.
   */
  type?: string | null;
}
/**
 * `ingestPath`: files, which the engine reads itself.
 */
export interface IngestPathParams {
  /**
   * Fail, without a snapshot, if the last 4 KiB of an item do not contain this.
   */
  expectTail?: string | null;
  items: PathItem[];
  /**
   * Fail, without a snapshot, if an item is smaller, in bytes.
   */
  minSize?: number | null;
  series?: string | null;
  tags?: {
    [k: string]: string;
  } | null;
  /**
   * The time that the snapshot stands for, RFC 3339; now if none is given.
   */
  time?: string | null;
}
/**
 * A file.
 */
export interface PathItem {
  /**
   * Of the item; its path, if none is given.
   */
  name?: string | null;
  path: string;
  /**
   * A word of the user's own; `file` for regular files, else `stream`, if none is given.
   */
  type?: string | null;
}
/**
 * `init`: a new repository, which is open then. Without passphrase and key file it is not encrypted.
 */
export interface InitParams {
  /**
   * Least, average and largest bytes of a chunk.
   *
   * @minItems 3
   * @maxItems 3
   */
  chunkSize?: [number, number, number] | null;
  /**
   * `auto`, `zstd`, `zstd:LEVEL`, `gzip`, `gzip:LEVEL` or `none`.
   */
  compression?: string | null;
  /**
   * What guessing a passphrase shall cost: `MEMORY,PASSES,LANES`, as `64MiB,3,4`.
   */
  kdf?: string | null;
  /**
   * Made if it is not there.
   */
  keyFile?: string | null;
  /**
   * Of the first key.
   */
  label?: string | null;
  /**
   * Bytes at which a pack is finished.
   */
  packSize?: number | null;
  /**
   * `PACKS+SHARDS`, as `40+2`, or `off`.
   */
  parity?: string | null;
  passphrase?: SecretText | null;
  /**
   * Folder of the repository.
   */
  path: string;
}
/**
 * `listItems`: the items of one snapshot, in pages.
 */
export interface ListItemsParams {
  /**
   * Of the page before.
   */
  cursor?: number | null;
  /**
   * Of the snapshot.
   */
  id: string;
}
/**
 * `listItems`
 */
export interface ListItemsResult {
  /**
   * For the next page; null on the last one.
   */
  cursor: number | null;
  items: Item[];
}
/**
 * `listSnapshots`: oldest first, in pages.
 */
export interface ListSnapshotsParams {
  /**
   * RFC 3339 or a date; this moment is included.
   */
  after?: string | null;
  /**
   * RFC 3339 or a date; this moment is not included.
   */
  before?: string | null;
  /**
   * Of the page before.
   */
  cursor?: string | null;
  series?: string | null;
  tags?: {
    [k: string]: string;
  } | null;
}
/**
 * `listSnapshots`
 */
export interface ListSnapshotsResult {
  /**
   * For the next page; null on the last one.
   */
  cursor: string | null;
  /**
   * Ids of those that are damaged or missing and cannot be listed; on the first page.
   */
  damaged: string[];
  /**
   * Oldest first.
   */
  snapshots: Snapshot[];
}
/**
 * `open`
 */
export interface OpenParams {
  keyFile?: string | null;
  passphrase?: SecretText | null;
  /**
   * Folder of the repository.
   */
  path: string;
}
/**
 * `prune`: without rules no snapshot goes.
 */
export interface PruneParams {
  /**
   * Go on although packs are gone that the index names.
   */
  acceptLoss?: boolean | null;
  /**
   * How long to wait for sessions that began before: `10m`.
   */
  drain?: string | null;
  /**
   * Change nothing.
   */
  dryRun?: boolean | null;
  /**
   * What is compared: `series` (if none is given), `none` or `tag:KEY`.
   */
  groupBy?: string | null;
  keepDays?: number | null;
  /**
   * The newest of each of the N newest hours that have one.
   */
  keepHours?: number | null;
  /**
   * How many of the newest stay, of each series.
   */
  keepLast?: number | null;
  keepMonths?: number | null;
  /**
   * All with one of these tags.
   */
  keepTags?: {
    [k: string]: string;
  } | null;
  keepWeeks?: number | null;
  /**
   * All that are at most this much older than the newest: `30d`.
   */
  keepWithin?: string | null;
  keepYears?: number | null;
  /**
   * Share of what stays that may be unused: `5%`.
   */
  maxUnused?: string | null;
  /**
   * Where days begin: `Europe/Berlin`; this computer's if none is given.
   */
  timeZone?: string | null;
}
export interface PruneResult {
  dryRun: boolean;
  /**
   * Bytes of packs that are gone, less those of what was stored again; parity apart.
   */
  freedBytes: number;
  /**
   * Snapshots that stay for now because somebody reads them.
   */
  inUse: PruneInUse[];
  packs: PrunePacks;
  /**
   * What is left to the next run.
   */
  pending: PrunePending | null;
  removedPacks: number;
  removedSnapshots: number;
  rewrittenPacks: number;
  snapshots: PruneVerdict[];
}
export interface PruneInUse {
  holder: string;
  id: string;
}
/**
 * Packs that go, or would.
 */
export interface PrunePacks {
  remove: string[];
  /**
   * Those among them whose needed chunks are stored again.
   */
  rewrite: string[];
}
export interface PrunePending {
  bytes: number;
  sessions: string[];
}
/**
 * What becomes of one snapshot, in a document.
 */
export interface PruneVerdict {
  createdAt: string;
  domain: string;
  id: string;
  keep: boolean;
  /**
   * Why, at least one.
   */
  reasons: string[];
  series: string;
}
export interface ReindexResult {
  chunks: number;
  leftOutPacks: number;
  packs: number;
  replacedSegments: number;
  segments: number;
  unreadablePacks: number;
}
/**
 * `repair`
 */
export interface RepairParams {
  /**
   * Change nothing.
   */
  dryRun?: boolean | null;
}
export interface RepairResult {
  dryRun: boolean;
  indexRebuilt: boolean;
  locksRemoved: number;
  lost: RepairLost[];
  /**
   * Nothing was damaged, or everything was mended.
   */
  ok: boolean;
  packsRepaired: number;
  quarantined: number;
  shardsRepaired: number;
  skipped: string[];
  steps: RepairStep[];
  unrepaired: RepairUnrepaired[];
}
export interface RepairLost {
  error: string;
  /**
   * The first byte that is lost, and the first one behind those.
   */
  from: number;
  item: string;
  snapshot: string;
  to: number;
}
export interface RepairStep {
  kind: string;
  object: string;
  text: string;
}
export interface RepairUnrepaired {
  object: string;
  text: string;
}
/**
 * `restore`: content into a stream; several items without `item` one after the other, in order.
 */
export interface RestoreParams {
  /**
   * Of the snapshot: its id, the beginning of it, `latest` or `latest~N`.
   */
  id: string;
  item?: string | null;
  /**
   * Of `streamOpen`.
   */
  streamId: string;
}
/**
 * `restore` and `restoreToPath`.
 */
export interface RestoreResult {
  /**
   * Bytes that were written.
   */
  bytes: number;
  /**
   * CRC-32 of what went into the stream; null of folders.
   */
  crc32: number | null;
  healedPacks: string[];
  items: RestoredItem[];
  /**
   * Chunks whose first copy was damaged: what was restored is right, and the repository needs a repair.
   */
  mended: number;
  mendedPacks: string[];
  /**
   * Of the snapshot.
   */
  snapshotId: string;
}
/**
 * An item that was restored.
 */
export interface RestoredItem {
  name: string;
  size: number;
}
/**
 * `restoreToPath`: items into a folder.
 */
export interface RestoreToPathParams {
  /**
   * Write packs back that had to be mended.
   */
  heal?: boolean | null;
  /**
   * Of the snapshot: its id, the beginning of it, `latest` or `latest~N`.
   */
  id: string;
  item?: string | null;
  /**
   * Replace files that are there.
   */
  overwrite?: boolean | null;
  /**
   * The folder; made if it is not there.
   */
  path: string;
}
export interface StatsResult {
  chunks: StatsChunks;
  /**
   * `uniqueBytes` by the bytes of the same chunks in packs.
   */
  compressionRatio: number | null;
  damagedSnapshots: number;
  /**
   * `logicalBytes / uniqueBytes`; null without content, like the other two.
   */
  dedupRatio: number | null;
  /**
   * Whether no chunk was counted twice.
   */
  exact: boolean;
  index: StatsIndex;
  items: number;
  logicalBytes: number;
  objects: StatsObjects[];
  packs: StatsPacks;
  series: number;
  snapshots: number;
  storedBytes: number;
  /**
   * `logicalBytes / storedBytes`.
   */
  totalRatio: number | null;
  uniqueBytes: number;
}
export interface StatsChunks {
  data: StatsChunk;
  repeated: StatsChunk;
  structure: StatsChunk;
}
export interface StatsChunk {
  chunks: number;
  plainBytes: number;
  storedBytes: number;
}
export interface StatsIndex {
  diskBytes: number;
  diskBytesPerChunk: number | null;
  entries: number;
  memoryBytes: number;
  memoryBytesPerChunk: number | null;
  segments: number;
}
export interface StatsObjects {
  bytes: number;
  kind: string;
  objects: number;
}
export interface StatsPacks {
  data: StatsPack;
  retired: StatsPack;
  structure: StatsPack;
  /**
   * Of these, such that no index segment names.
   */
  unnamed: number;
  unreadable: StatsPack;
}
export interface StatsPack {
  bytes: number;
  packs: number;
}
/**
 * `status`
 */
export interface StatusParams {
  /**
   * How old the newest snapshot of a series may be: `26h`.
   */
  maxAge?: string | null;
  series?: string | null;
  tags?: {
    [k: string]: string;
  } | null;
}
export interface StatusResult {
  checkedAt: string;
  damaged: StatusDamaged[];
  maxAgeMs: number | null;
  /**
   * Nothing is stale, missing or damaged.
   */
  ok: boolean;
  /**
   * How many more packs of the worst parity group may be lost; null without groups.
   */
  parityMargin: number | null;
  series: StatusSeries[];
  sessions: Session[];
  unprotectedPacks: number;
  /**
   * Since when every pack was read and compared with its checksums; null if some never were.
   */
  verifiedAt: string | null;
  /**
   * Errors that the worst of these verifications found; null if there was none.
   */
  verifiedErrors: number | null;
}
export interface StatusDamaged {
  id: string;
  text: string;
}
export interface StatusSeries {
  ageMs: number;
  domain: string;
  futureSnapshots: number;
  newest: StatusNewest;
  series: string;
  snapshots: number;
  /**
   * `fresh`, `stale` or `future`.
   */
  state: string;
}
export interface StatusNewest {
  committedAt: string;
  createdAt: string;
  id: string;
  originalSize: number;
  storedSize: number;
}
export interface Session {
  host: string | null;
  id: string;
  operation: string | null;
  pid: number | null;
  startedAt: string;
  /**
   * `live`, `dead`, `ended` or `unknown`.
   */
  state: string;
  user: string | null;
}
/**
 * `streamOpen`: a socket that an operation may be given.
 */
export interface StreamOpenResult {
  /**
   * Of the Unix socket to connect to, once.
   */
  path: string;
  streamId: string;
}
/**
 * `unlock`
 */
export interface UnlockParams {
  /**
   * Also sessions that live.
   */
  force?: boolean | null;
}
export interface UnlockResult {
  /**
   * As they stood before.
   */
  ended: Session[];
  left: Session[];
}
/**
 * `verify`
 */
export interface VerifyParams {
  /**
   * `quick`, `standard` (if none is given) or `full`.
   */
  level?: Level | null;
  /**
   * Only packs that were not read for so long: `30d`.
   */
  maxAge?: string | null;
  /**
   * Only this share of packs, those first that were not read for longest: `5%`.
   */
  sample?: string | null;
}
export interface VerifyResult {
  errors: VerifyError[];
  /**
   * `quick`, `standard` or `full`.
   */
  level: string;
  lost: VerifyLost[];
  /**
   * Nothing is damaged or missing.
   */
  ok: boolean;
  skipped: string[];
  stats: VerifyStats;
}
export interface VerifyError {
  /**
   * The first chunk that a snapshot lacks because of it.
   */
  chunk: string | null;
  error: string;
  object: string;
  pack: string | null;
  repairable: boolean;
  /**
   * The first snapshot that is hurt, if one is; `snapshots` has all.
   */
  snapshot: string | null;
  snapshots: VerifyHurt[];
}
export interface VerifyLost {
  error: string;
  from: number;
  item: string;
  snapshot: string;
  to: number;
}
export interface VerifyStats {
  bytes: number;
  chunksChecked: number;
  packsChecked: number;
  shardsChecked: number;
  snapshotsChecked: number;
}

/** The codes that the engine gives errors. */
export const ERROR_CODES = [
  'E_FAILED',
  'E_USAGE',
  'E_SOURCE',
  'E_NO_REPOSITORY',
  'E_EXISTS',
  'E_HELD',
  'E_KEY',
  'E_CAPABILITY',
  'E_ROLLBACK',
  'E_MENDABLE',
  'E_DAMAGED',
  'E_NOT_FOUND',
  'E_PINNED',
  'E_STALE',
  'E_FULL',
  'E_NETWORK',
  'E_VERSION',
  'E_CANCELLED',
] as const;
