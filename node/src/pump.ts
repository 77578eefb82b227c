import { once } from 'node:events';
import type { Socket } from 'node:net';

import { bytesOf, type Content } from './content.js';
import { FrameWriter, givenUp } from './frames.js';

/** How long the engine may take to take back a stream that was given up. */
const GIVE_UP_PATIENCE_MS = 2_000;

/** Content on its way into a socket. */
export class Pump {
  readonly #content: Content;
  /** Ends the wait that goes on. */
  #interrupt: (why: Error) => void = () => {};
  #stopped: Error | undefined;
  /** What the source failed with. */
  failure: { error: unknown } | undefined;

  constructor(content: Content) {
    this.#content = content;
  }

  /** Sends everything, and an end only if the source says that this was all. Never rejects. */
  async run(socket: Socket): Promise<void> {
    socket.once('close', () => this.stop(new Error('the engine does not want the rest')));
    const writer = new FrameWriter();
    try {
      for (;;) {
        const { done, value } = await this.#next();
        if (done) {
          break;
        }
        writer.push(this.#bytes(value));
        await this.#write(socket, writer.frames(false));
      }
      await this.#write(socket, writer.frames(true));
      await this.#confirm();
      socket.end(writer.end());
    } catch (error) {
      this.#giveUp(socket, error);
    } finally {
      this.#content.release(this.#stopped);
    }
  }

  /** Nobody wants the content any more. */
  stop(why: Error): void {
    this.#stopped ??= why;
    this.#interrupt(why);
  }

  /** Waits for one thing, or until it is stopped. Unlike a race it leaves nothing behind. */
  #wait<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#stopped !== undefined) {
        work.catch(() => {});
        reject(this.#stopped);
        return;
      }
      this.#interrupt = reject;
      work.then(resolve, reject);
    });
  }

  async #ofSource<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.#wait(work());
    } catch (error) {
      if (this.#stopped === undefined) {
        this.failure = { error };
      }
      throw error;
    }
  }

  #next(): Promise<IteratorResult<unknown>> {
    return this.#ofSource(() => this.#content.next());
  }

  #confirm(): Promise<void> {
    return this.#ofSource(() => this.#content.confirm());
  }

  #bytes(piece: unknown): Uint8Array {
    try {
      return bytesOf(piece);
    } catch (error) {
      this.failure = { error };
      throw error;
    }
  }

  async #write(socket: Socket, frames: Iterable<Uint8Array[]>): Promise<void> {
    for (const parts of frames) {
      // Head and parts in one call.
      socket.cork();
      parts.forEach((part) => socket.write(part));
      socket.uncork();
      // A socket that was closed is never drained: its end stops the wait.
      if (socket.writableNeedDrain) {
        await this.#wait(once(socket, 'drain'));
      }
    }
  }

  #giveUp(socket: Socket, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    socket.end(givenUp(reason));
    setTimeout(() => socket.destroy(), GIVE_UP_PATIENCE_MS).unref();
  }
}
