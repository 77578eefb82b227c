import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { connect, type IpcNetConnectOpts, type Socket } from 'node:net';
import { basename } from 'node:path';
import type { Readable, Writable } from 'node:stream';

import { findBinary } from './binary.js';
import { BinaryError, EngineError, errorFromEngine, type ContainerArchiveError } from './errors.js';
import { LineReader } from './lines.js';
import type { ErrorInfo, Protocol, Ready } from './protocol.js';

export type Methods = Protocol['methods'];
export type Method = keyof Methods;
export type Events = Protocol['events'];

/** Of the protocol that this package speaks. */
const PROTOCOL = 1;
/** How long the program may take to say that it is there. */
const READY_PATIENCE_MS = 10_000;
/** How long it may take to end. It gives itself 4.5 s. */
const END_PATIENCE_MS = 6_000;
/** What was said between the end of the process and that of its output is waited for so long. */
const LAST_WORDS_MS = 200;
/** What may wait for a socket: so much goes on while either process is not given the processor. */
const QUEUE_BYTES = 1 << 20;
/** How much of what it says on the standard error is kept for messages. */
const STDERR_BYTES = 8 << 10;

/** Of the streams' constructor, which gets all options. */
type PipeOptions = IpcNetConnectOpts & { writableHighWaterMark: number };

const VERSION: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;

/** A request that was sent. */
export interface Sent<T> {
  id: string;
  /** Rejections are handled even if nobody looks. */
  result: Promise<T>;
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: ContainerArchiveError): void;
}

interface Message {
  id?: string;
  success?: boolean;
  result?: unknown;
  error?: string;
  errorInfo?: ErrorInfo;
  event?: string;
  data?: unknown;
}

/** One process of the engine. */
export class Engine {
  readonly #child: ChildProcess;
  readonly #stdin: Writable;
  readonly #onEvent: (event: string, data: unknown) => void;
  readonly #pending = new Map<string, Pending>();
  readonly #ended: Promise<void>;
  #ready: Ready | undefined;
  #becomeReady: (ready: Ready) => void = () => {};
  #failStart: (error: ContainerArchiveError) => void = () => {};
  #lastId = 0;
  #stderr = '';
  #gone: ContainerArchiveError | undefined;

  private constructor(path: string, onEvent: (event: string, data: unknown) => void) {
    this.#onEvent = onEvent;
    this.#child = spawn(path, ['engine'], { stdio: ['pipe', 'pipe', 'pipe'], windowsHide: true });
    const { stdin, stdout, stderr } = this.#child as ChildProcess & { stdin: Writable; stdout: Readable; stderr: Readable };
    this.#stdin = stdin;
    // Written to while the process ends: what matters is told by its end.
    stdin.on('error', () => {});
    stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_BYTES);
    });
    const lines = new LineReader((line) => this.#receive(line));
    stdout.on('data', (bytes: Buffer) => {
      try {
        lines.push(bytes);
      } catch (error) {
        this.#fail(error as ContainerArchiveError);
      }
    });
    this.#ended = this.#watch(stdout);
  }

  /** Starts the program and waits until it is there. */
  static async start(binary: string | undefined, onEvent: (event: string, data: unknown) => void): Promise<Engine> {
    const path = findBinary(binary);
    const engine = new Engine(path, onEvent);
    let timer: NodeJS.Timeout | undefined;
    const ready = new Promise<Ready>((resolve, reject) => {
      engine.#becomeReady = resolve;
      engine.#failStart = reject;
      const late = () => reject(new EngineError('E_ENGINE', `${path} did not say that it is ready`));
      timer = setTimeout(late, READY_PATIENCE_MS);
    });
    try {
      const { version, protocol } = await ready;
      if (protocol !== PROTOCOL || release(version) !== release(VERSION)) {
        throw new BinaryError(
          'E_BINARY',
          `${path} is version ${version} with protocol ${protocol}, this package is ${VERSION} with ${PROTOCOL}`,
          { advice: 'install the same version of both' },
        );
      }
    } catch (error) {
      engine.kill();
      throw error;
    } finally {
      clearTimeout(timer);
    }
    engine.#hold(false);
    return engine;
  }

  /** Why requests make no sense any more. */
  get gone(): ContainerArchiveError | undefined {
    return this.#gone;
  }

  /** Of the process. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Sends a request. */
  send<M extends Method>(method: M, params: Methods[M]['params']): Sent<Methods[M]['result']> {
    this.#lastId += 1;
    const id = `r${this.#lastId}`;
    const result = new Promise<Methods[M]['result']>((resolve, reject) => {
      if (this.#gone !== undefined) {
        reject(this.#gone);
        return;
      }
      this.#pending.set(id, { resolve: resolve as (result: unknown) => void, reject });
      this.#hold(true);
      this.#stdin.write(`${JSON.stringify({ id, method, params })}\n`);
    });
    result.catch(() => {});
    return { id, result };
  }

  /** Sends a request and waits for its result. */
  request<M extends Method>(method: M, params: Methods[M]['params']): Promise<Methods[M]['result']> {
    return this.send(method, params).result;
  }

  /** Tells the engine that nobody wants the result of a request any more; it answers the request soon. */
  cancel(requestId: string): void {
    if (this.#pending.has(requestId)) {
      this.send('cancel', { requestId });
    }
  }

  /** A new stream of the data plane: its id, and a connection to it. */
  async openStream(): Promise<{ streamId: string; socket: Socket }> {
    const { streamId, path } = await this.request('streamOpen', {});
    const socket = connect({ path, writableHighWaterMark: QUEUE_BYTES } as PipeOptions);
    // The request that the stream belongs to tells why.
    socket.on('error', () => {});
    return { streamId, socket };
  }

  /** Ends what goes on, and the process. */
  async end(): Promise<void> {
    this.send('shutdown', {});
    const timer = setTimeout(() => this.kill(), END_PATIENCE_MS);
    await this.#ended;
    clearTimeout(timer);
  }

  /** Ends the process at once. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #receive(line: string): void {
    let message: Message;
    try {
      message = JSON.parse(line);
    } catch {
      throw new EngineError('E_ENGINE', `the engine sent what is no JSON: ${line.slice(0, 200)}`);
    }
    if (message.event !== undefined) {
      if (message.event === 'ready' && this.#ready === undefined) {
        this.#ready = message.data as Ready;
        this.#becomeReady(this.#ready);
      } else {
        this.#onEvent(message.event, message.data);
      }
      return;
    }
    const pending = message.success === undefined ? undefined : this.#pending.get(message.id ?? '');
    if (pending === undefined) {
      return;
    }
    this.#pending.delete(message.id ?? '');
    if (this.#pending.size === 0) {
      this.#hold(false);
    }
    if (message.success) {
      pending.resolve(message.result);
    } else {
      pending.reject(errorFromEngine(message.error ?? 'the engine gave no reason', message.errorInfo));
    }
  }

  /** Whether the host's process lives as long as this one. Idle engines hold up no exit: they end with their input. */
  #hold(isHeld: boolean): void {
    const { stdin, stdout, stderr } = this.#child;
    for (const held of [this.#child, stdin, stdout, stderr] as Partial<Pick<Socket, 'ref' | 'unref'>>[]) {
      if (isHeld) {
        held.ref?.();
      } else {
        held.unref?.();
      }
    }
  }

  /** Waits for the end of the process, and tells everybody. */
  #watch(stdout: Readable): Promise<void> {
    return new Promise((resolve) => {
      const ended = (why: string) => {
        const said = this.#stderr.trim();
        this.#fail(new EngineError('E_ENGINE', said === '' ? why : `${why}; it said: ${said}`, { retryable: true }));
        this.#clean();
        resolve();
      };
      this.#child.once('error', (error) => {
        if (this.#child.pid === undefined) {
          ended(`the engine process cannot be started: ${error.message}`);
        }
      });
      this.#child.once('exit', (code, signal) => {
        const why = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
        const timer = setTimeout(() => ended(`the engine process ${why}`), LAST_WORDS_MS);
        const early = () => {
          clearTimeout(timer);
          ended(`the engine process ${why}`);
        };
        if (stdout.readableEnded || stdout.destroyed) {
          early();
        } else {
          stdout.once('end', early);
        }
      });
    });
  }

  #fail(error: ContainerArchiveError): void {
    if (this.#gone === undefined) {
      this.#gone = error;
      this.#child.kill('SIGKILL');
      this.#failStart(error);
      for (const pending of this.#pending.values()) {
        pending.reject(error);
      }
      this.#pending.clear();
      this.#hold(false);
    }
  }

  /** Removes the folder of the sockets, which a process that was killed leaves. */
  #clean(): void {
    const folder = this.#ready?.socketFolder;
    if (folder !== undefined && basename(folder).startsWith('containerarchive-')) {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

/** What must be the same of two versions: the first number, and before 1.0 the second one, too. */
function release(version: string): string {
  const [major = '', minor = ''] = version.split('.');
  return major === '0' ? `0.${minor}` : major;
}
