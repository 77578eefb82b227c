import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { connect, type IpcNetConnectOpts, type OnReadOpts, type Socket } from 'node:net';
import { basename } from 'node:path';
import type { Readable, Writable } from 'node:stream';

import { findBinary } from './binary.js';
import { BinaryError, EngineError, UsageError, errorFromEngine, type ContainerArchiveError } from './errors.js';
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
/** How often it is asked whether the engine says anything, and how often it may not: it does every 3 s while it works. */
const SILENCE_STEP_MS = 10_000;
const SILENCE_STEPS = 6;
/** What may wait for a socket: so much goes on while either process is not given the processor. */
const QUEUE_BYTES = 2 << 20;
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

/** A stream of the data plane: its id, and a connection to it. */
export interface OpenedStream {
  streamId: string;
  socket: Socket;
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: ContainerArchiveError): void;
}

/** A line of the engine. Nothing about its members is certain. */
interface Message {
  id?: unknown;
  success?: unknown;
  result?: unknown;
  error?: unknown;
  errorInfo?: Partial<ErrorInfo>;
  event?: unknown;
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
  /** Looks for silence while requests wait. Steps are counted, and not time: this process may stand still itself. */
  #watchman: NodeJS.Timeout | undefined;
  #silentSteps = 0;
  #gone: ContainerArchiveError | undefined;

  private constructor(path: string, onEvent: (event: string, data: unknown) => void) {
    this.#onEvent = onEvent;
    this.#child = spawnEngine(path);
    const { stdin, stdout, stderr } = this.#child as ChildProcess & { stdin: Writable; stdout: Readable; stderr: Readable };
    this.#stdin = stdin;
    // Written to while the process ends: what matters is told by its end.
    stdin.on('error', () => {});
    stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_BYTES);
    });
    const lines = new LineReader((line) => this.#receive(line));
    stdout.on('data', (bytes: Buffer) => {
      this.#silentSteps = 0;
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
      const line = lineOf({ id, method, params });
      this.#pending.set(id, { resolve: resolve as (result: unknown) => void, reject });
      this.#hold(true);
      this.#stdin.write(line);
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

  /** A new stream of the data plane. What comes from it goes to `onread`, if that is given, and else is read from the socket. */
  async openStream(onread?: OnReadOpts): Promise<OpenedStream> {
    const { streamId, path } = await this.request('streamOpen', {});
    if (typeof streamId !== 'string' || typeof path !== 'string') {
      throw new EngineError('E_ENGINE', 'the engine opened a stream and did not say which');
    }
    const options = { path, writableHighWaterMark: QUEUE_BYTES };
    const socket = connect((onread === undefined ? options : { ...options, onread }) as PipeOptions);
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
    const message = messageOf(line);
    if (typeof message.event === 'string') {
      if (message.event === 'ready' && this.#ready === undefined) {
        this.#ready = readyOf(message.data);
        this.#becomeReady(this.#ready);
      } else {
        this.#onEvent(message.event, message.data);
      }
      return;
    }
    const id = String(message.id);
    const pending = message.success === undefined ? undefined : this.#pending.get(id);
    if (pending === undefined) {
      return;
    }
    this.#pending.delete(id);
    if (this.#pending.size === 0) {
      this.#hold(false);
    }
    if (message.success !== true) {
      pending.reject(errorFromEngine(message.error, message.errorInfo));
    } else if (typeof message.result === 'object' && message.result !== null) {
      pending.resolve(message.result);
    } else {
      pending.reject(new EngineError('E_ENGINE', 'the engine answered without a result'));
    }
  }

  /** An engine that stands still answers nobody, and its process has not ended. */
  #listen(): void {
    this.#silentSteps += 1;
    if (this.#silentSteps >= SILENCE_STEPS) {
      const seconds = (SILENCE_STEP_MS * SILENCE_STEPS) / 1000;
      const text = `the engine process has said nothing for ${seconds} s`;
      this.#fail(new EngineError('E_ENGINE', text, { retryable: true }));
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
    if (!isHeld) {
      clearInterval(this.#watchman);
      this.#watchman = undefined;
    } else if (this.#watchman === undefined) {
      this.#silentSteps = 0;
      this.#watchman = setInterval(() => this.#listen(), SILENCE_STEP_MS).unref();
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
    const folder: unknown = this.#ready?.socketFolder;
    if (typeof folder === 'string' && basename(folder).startsWith('containerarchive-')) {
      try {
        rmSync(folder, { recursive: true, force: true });
      } catch {
        // The next engine removes it.
      }
    }
  }
}

/** Starts the program. That there is none, or none that runs, is told by the process; some systems throw it. */
function spawnEngine(path: string): ChildProcess {
  try {
    return spawn(path, ['engine'], { stdio: ['pipe', 'pipe', 'pipe'], windowsHide: true });
  } catch (error) {
    throw new BinaryError('E_BINARY', `${path} cannot be started: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * A request as its line.
 *
 * @throws UsageError if JSON would say something else, as it does of numbers that are none: `null`, which is no rule.
 */
function lineOf(request: { id: string; method: string; params: unknown }): string {
  const check = (name: string, value: unknown) => {
    if (typeof value === 'number' && !Number.isFinite(value)) {
      throw new UsageError('E_USAGE', `${name} is ${value}`);
    }
    return value;
  };
  try {
    return `${JSON.stringify(request, check)}\n`;
  } catch (error) {
    if (error instanceof UsageError) {
      throw error;
    }
    throw new UsageError('E_USAGE', `these parameters are not possible: ${(error as Error).message}`, { cause: error });
  }
}

function messageOf(line: string): Message {
  let message: unknown;
  try {
    message = JSON.parse(line);
  } catch {
    // Told below.
  }
  if (typeof message !== 'object' || message === null) {
    throw new EngineError('E_ENGINE', `the engine sent what is no JSON object: ${line.slice(0, 200)}`);
  }
  return message;
}

function readyOf(data: unknown): Ready {
  const ready = data as Partial<Ready> | null | undefined;
  if (typeof ready?.version !== 'string' || typeof ready.protocol !== 'number') {
    throw new EngineError('E_ENGINE', 'the program said that it is ready, and not what it is');
  }
  return ready as Ready;
}

/** What must be the same of two versions: the first number, and before 1.0 the second one, too. */
function release(version: string): string {
  const [major = '', minor = ''] = version.split('.');
  return major === '0' ? `0.${minor}` : major;
}
