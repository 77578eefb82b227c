import type { OnReadOpts, Socket } from 'node:net';
import { Readable } from 'node:stream';

import type { Engine, Sent } from './engine.js';
import { AbortError, EngineError, abortError } from './errors.js';
import { FrameReader } from './frames.js';
import type { RestoreResult } from './protocol.js';

/** How much may wait to be read. */
const HIGH_WATER_MARK = 256 << 10;
/** How long the engine may take to take a restore back, or to say why it failed. */
const PATIENCE_MS = 5_000;

/** Memory that is taken at once for what comes. */
const SLAB_BYTES = 1 << 20;
/** Room for one read at least: a little less than what waits in a socket of Linux at most. */
const LEAST_ROOM_BYTES = 128 << 10;

/** What to restore. */
export interface RestoreWish {
  id: string;
  item?: string | undefined;
}

/**
 * Content of a snapshot. It ends only after count and checksum of what came are those that the engine told; whatever
 * else happens is an error of the stream.
 */
export class RestoreStream extends Readable {
  readonly #engine: () => Promise<Engine>;
  readonly #wish: RestoreWish;
  readonly #signal: AbortSignal | undefined;
  readonly #reader = new FrameReader();
  readonly #abort = () => this.destroy(this.#signal === undefined ? undefined : abortError(this.#signal));
  #running: { engine: Engine; sent: Sent<RestoreResult> } | undefined;
  #socket: Socket | undefined;

  constructor(engine: () => Promise<Engine>, wish: RestoreWish, signal: AbortSignal | undefined) {
    super({ highWaterMark: HIGH_WATER_MARK });
    this.#engine = engine;
    this.#wish = wish;
    this.#signal = signal;
    signal?.addEventListener('abort', this.#abort, { once: true });
    if (signal?.aborted) {
      this.#abort();
    }
  }

  override _construct(callback: (error?: Error | null) => void): void {
    this.#start().then(
      () => callback(),
      (error: Error) => callback(error),
    );
  }

  override _read(): void {
    this.#socket?.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#socket?.destroy();
    const running = this.#running;
    if (running === undefined) {
      callback(error);
      return;
    }
    running.engine.cancel(running.sent.id);
    // Until the engine has let go of it, or is gone.
    settled(running.sent.result).then(() => callback(error));
  }

  async #start(): Promise<void> {
    const engine = await this.#engine();
    if (this.destroyed) {
      return;
    }
    const { streamId, socket } = await engine.openStream(receiver((bytes) => this.#receive(bytes)));
    if (this.destroyed) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    const sent = engine.send('restore', { ...this.#wish, streamId });
    this.#running = { engine, sent };
    sent.result.then(
      () => this.#expectEnd(socket),
      (error: Error) => this.destroy(error),
    );
    socket.once('close', () => this.#close());
    socket.pause();
  }

  #receive(bytes: Buffer): void {
    try {
      for (const content of this.#reader.push(bytes)) {
        if (!this.push(content)) {
          this.#socket?.pause();
        }
      }
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  /** The engine is done: what it sent is here, or comes as fast as it is read. */
  #expectEnd(socket: Socket): void {
    let bytes = -1;
    // Whoever reads may take any time, and so may a process that stands still: two looks without a byte in between.
    const timer = setInterval(() => {
      if (!socket.isPaused() && this.#reader.bytes === bytes) {
        this.destroy(cutOff(bytes));
      }
      bytes = socket.isPaused() ? -1 : this.#reader.bytes;
    }, PATIENCE_MS);
    socket.once('close', () => clearInterval(timer));
    if (socket.destroyed) {
      clearInterval(timer);
    }
  }

  /** The socket says nothing more; whether all is there is told by the end of the frames, and by the engine. */
  #close(): void {
    const running = this.#running;
    if (running === undefined || this.destroyed) {
      return;
    }
    const { isEnded, bytes, crc32 } = this.#reader;
    const timer = setTimeout(() => this.destroy(cutOff(bytes)), PATIENCE_MS);
    const check = (result: RestoreResult) => {
      if (isEnded && result.bytes === bytes && result.crc32 === crc32) {
        this.push(null);
      } else {
        this.destroy(cutOff(bytes));
      }
    };
    running.sent.result.then(check, () => {}).finally(() => clearTimeout(timer));
  }
}

/** Reads as much at once as there is, and not 64 KiB: most of a restore's cost in this process is by the read. */
function receiver(receive: (bytes: Buffer) => void): OnReadOpts {
  let room: Buffer = Buffer.alloc(0);
  return {
    buffer: () => {
      if (room.length < LEAST_ROOM_BYTES) {
        room = Buffer.allocUnsafeSlow(SLAB_BYTES);
      }
      return room;
    },
    callback: (count) => {
      const bytes = room.subarray(0, count);
      room = room.subarray(count);
      receive(bytes);
      return true;
    },
  };
}

function cutOff(bytes: number): EngineError {
  return new EngineError('E_ENGINE', `the restored stream was cut off after ${bytes} bytes`, { retryable: true });
}

/** When it has a result or an error, or after a time. */
function settled(result: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, PATIENCE_MS);
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    result.then(done, done);
  });
}

/** What a stream is destroyed with when the archive is closed. */
export function closedError(): AbortError {
  return new AbortError('E_CANCELLED', 'the archive was closed');
}
