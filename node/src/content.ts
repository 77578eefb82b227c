import type { ChildProcess } from 'node:child_process';
import { Readable } from 'node:stream';

import { UsageError } from './errors.js';

/**
 * What can be stored: a stream of Node or of the web, anything that yields bytes or text, a blob, or a child process,
 * whose standard output it is and which must end with 0.
 */
export type Source =
  | Readable
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array | string>
  | Blob
  | ChildProcess;

/** How much of a stream is read at once. */
const READ_BYTES = 1 << 20;

/** How much of what a child says on the standard error goes into the message of its failure. */
const STDERR_BYTES = 4 << 10;

/** What a child said before it ended may come so much later. */
const LAST_WORDS_MS = 100;

/** Sources that can be read once, and were begun. Who gave one twice would store a part of it, or nothing. */
const BEGUN = new WeakSet<object>();

/** Content that is read piece by piece. */
export interface Content {
  next(): Promise<IteratorResult<unknown>>;
  /** After the last piece: waits until it is certain that this was all; rejects if not. */
  confirm(): Promise<void>;
  /** Nobody wants the rest. Also called after the end. */
  release(why: Error | undefined): void;
}

/**
 * The content of a source, which is watched from now on: none of its errors is unhandled.
 *
 * @throws UsageError if it is no source, or one that was read already.
 */
export function contentOf(source: Source): Content {
  if (isChildProcess(source)) {
    return childContent(source);
  }
  if (source instanceof Readable) {
    return readableContent(source);
  }
  if (source instanceof Blob) {
    return webContent(source.stream() as ReadableStream<Uint8Array>);
  }
  if (source instanceof ReadableStream) {
    return webContent(source as ReadableStream<Uint8Array>);
  }
  if (typeof (source as Partial<AsyncIterable<unknown>> | null)?.[Symbol.asyncIterator] === 'function') {
    return iterableContent(source as AsyncIterable<unknown>);
  }
  throw new UsageError('E_USAGE', 'a source is a stream, an async iterable, a Blob or a child process', {
    advice: 'put bytes that are in memory into a Blob: new Blob([bytes])',
  });
}

function isChildProcess(source: Source): source is ChildProcess {
  const child = source as Partial<ChildProcess> | null;
  return typeof child?.kill === 'function' && child.stdout !== undefined && 'exitCode' in child;
}

function readableContent(source: Readable): Content {
  // The iterator tells the error; this keeps it from being unhandled before it is asked and after it was left.
  source.on('error', () => {});
  if (source.readableEnded || source.destroyed) {
    throw new UsageError('E_USAGE', 'the source has been read or destroyed already', { cause: source.errored });
  }
  begin(source);
  const first: unknown = readAhead(source);
  const iterator = source[Symbol.asyncIterator]();
  let isFirst = first !== null;
  return {
    next: async () => {
      if (isFirst) {
        isFirst = false;
        return { done: false, value: first };
      }
      return iterator.next();
    },
    confirm: async () => {
      if (!source.readableEnded) {
        throw source.errored ?? new Error('the stream was closed before its end');
      }
    },
    release: (why) => {
      source.destroy(why);
    },
  };
}

/**
 * Has a stream read so much at once, and not its default of 64 KiB, each of which costs several waits: who asks for more
 * than a stream's mark raises it (`Readable.read` in Node's lib/internal/streams/readable.js). Returns what is there.
 */
function readAhead(source: Readable): unknown {
  const isOfBytes = !source.readableObjectMode && source.readableEncoding === null;
  return isOfBytes && source.readableHighWaterMark < READ_BYTES ? source.read(READ_BYTES) : null;
}

function begin(source: object): void {
  if (BEGUN.has(source)) {
    throw new UsageError('E_USAGE', 'the source was given before, and can be read only once');
  }
  BEGUN.add(source);
}

function webContent(source: ReadableStream<Uint8Array>): Content {
  if (source.locked) {
    throw new UsageError('E_USAGE', 'the source is being read by somebody else');
  }
  const reader = source.getReader();
  return {
    next: async () => {
      const { done, value } = await reader.read();
      return done ? { done: true, value: undefined } : { done: false, value };
    },
    confirm: async () => {},
    release: (why) => {
      reader.cancel(why).catch(() => {});
    },
  };
}

function iterableContent(source: AsyncIterable<unknown>): Content {
  const iterator = source[Symbol.asyncIterator]();
  // The same one again of generators, and another of what can be read more than once.
  begin(iterator);
  const leave = async () => iterator.return?.();
  return {
    next: () => iterator.next(),
    confirm: async () => {},
    release: () => {
      // Waits for a piece that is being made; nobody else shall.
      leave().catch(() => {});
    },
  };
}

function childContent(child: ChildProcess): Content {
  if (child.stdout === null) {
    throw new UsageError('E_USAGE', "the child process has no standard output: start it with stdio 'pipe'");
  }
  if (child.stdout.readableDidRead) {
    throw new UsageError('E_USAGE', 'the output of the child process was read, or thrown away when it ended', {
      advice: 'give the child process to be stored as soon as it was started',
    });
  }
  // From now on: Node throws away what nobody has asked for when the child ends.
  child.stdout.on('readable', () => {});
  let said = '';
  const withSaid = (why: string) => (said.trim() === '' ? why : `${why}: ${said.trim()}`);
  // Nobody reads it: the child would stand still once the pipe is full.
  if (child.stderr !== null && child.stderr.listenerCount('readable') === 0) {
    child.stderr.on('data', (text: Buffer | string) => {
      said = (said + text.toString()).slice(-STDERR_BYTES);
    });
    child.stderr.on('error', () => {});
  }
  const ended = exitOf(child);
  const output = child.stdout;
  // What it started may hold the output open for long, and what comes is no backup any more.
  const giveUp = (why: string) => setTimeout(() => output.destroy(new Error(withSaid(why))), LAST_WORDS_MS);
  ended.then((why) => why !== undefined && giveUp(why), (error: Error) => giveUp(error.message));
  const content = readableContent(output);
  return {
    next: () => content.next(),
    confirm: async () => {
      await content.confirm();
      const why = await ended;
      if (why !== undefined) {
        throw new Error(withSaid(why));
      }
    },
    release: (why) => {
      content.release(why);
      if (child.exitCode === null && child.signalCode === null) {
        child.kill();
      }
    },
  };
}

/** Why a child did not end well. */
function exitOf(child: ChildProcess): Promise<string | undefined> {
  const what = `the command ${child.spawnfile}`;
  const told = (code: number | null, signal: NodeJS.Signals | null) => {
    if (signal !== null) {
      return `${what} was ended by ${signal}`;
    }
    return code === 0 ? undefined : `${what} ended with exit code ${code}`;
  };
  return new Promise((resolve, reject) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resolve(told(child.exitCode, child.signalCode));
      return;
    }
    child.on('error', reject);
    child.once('exit', (code, signal) => resolve(told(code, signal)));
  });
}

/** Bytes of a piece. */
export function bytesOf(piece: unknown): Uint8Array {
  if (piece instanceof Uint8Array) {
    return piece;
  }
  if (typeof piece === 'string') {
    return Buffer.from(piece);
  }
  if (piece instanceof ArrayBuffer) {
    return new Uint8Array(piece);
  }
  throw new TypeError(`a source yields bytes or text, and not ${piece === null ? 'null' : typeof piece}`);
}
