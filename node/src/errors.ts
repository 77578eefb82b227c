import type { ErrorInfo, Protocol } from './protocol.js';

/** Codes of errors: those of the engine, and two of this package. */
export type ErrorCode =
  | Protocol['errorCode']
  /** No program `containerarchive` was found, or it does not fit. */
  | 'E_BINARY'
  /** The engine process ended, or does not speak the protocol. */
  | 'E_ENGINE';

/** What an error may say more. */
export interface ContainerArchiveErrorOptions {
  retryable?: boolean;
  advice?: string;
  details?: Record<string, unknown>;
  cause?: unknown;
}

/** What every method of this package rejects with. */
export class ContainerArchiveError extends Error {
  override name = 'ContainerArchiveError';
  readonly code: ErrorCode;
  /** The same call may succeed later without anybody doing anything. */
  readonly retryable: boolean;
  /** What to do; empty if there is nothing to say. */
  readonly advice: string;
  readonly details: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, options: ContainerArchiveErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.advice = options.advice ?? '';
    this.details = options.details ?? {};
  }
}

/** The arguments make no sense. */
export class UsageError extends ContainerArchiveError {
  override name = 'UsageError';
}

/** What was to be stored failed: a stream, a file, a command. There is no snapshot. `cause` is the stream's own error. */
export class SourceError extends ContainerArchiveError {
  override name = 'SourceError';
}

/** No repository, snapshot or item of this name. */
export class NotFoundError extends ContainerArchiveError {
  override name = 'NotFoundError';
}

/** Another session holds the repository. */
export class HeldError extends ContainerArchiveError {
  override name = 'HeldError';
}

/** A wrong or missing key, or one that does not allow this. */
export class KeyError extends ContainerArchiveError {
  override name = 'KeyError';
}

/** The repository is damaged. */
export class DamageError extends ContainerArchiveError {
  override name = 'DamageError';
}

/** The call was ended by its signal or by `close`. `cause` is the reason of the signal. */
export class AbortError extends ContainerArchiveError {
  override name = 'AbortError';
}

/** There is no program to run, or it does not fit. */
export class BinaryError extends ContainerArchiveError {
  override name = 'BinaryError';
}

/** The engine process is gone. */
export class EngineError extends ContainerArchiveError {
  override name = 'EngineError';
}

const CLASSES: Partial<Record<ErrorCode, typeof ContainerArchiveError>> = {
  E_USAGE: UsageError,
  E_SOURCE: SourceError,
  E_NO_REPOSITORY: NotFoundError,
  E_NOT_FOUND: NotFoundError,
  E_HELD: HeldError,
  E_KEY: KeyError,
  E_CAPABILITY: KeyError,
  E_MENDABLE: DamageError,
  E_DAMAGED: DamageError,
  E_CANCELLED: AbortError,
  E_BINARY: BinaryError,
  E_ENGINE: EngineError,
};

/** An error of the class that fits its code. */
export function errorOf(
  code: ErrorCode,
  message: string,
  options: ContainerArchiveErrorOptions = {},
): ContainerArchiveError {
  return new (CLASSES[code] ?? ContainerArchiveError)(code, message, options);
}

/** What the engine said, as an error. */
export function errorFromEngine(error: unknown, info: Partial<ErrorInfo> | undefined): ContainerArchiveError {
  const said = typeof error === 'string' ? error : 'the engine gave no reason';
  if (typeof info?.code !== 'string') {
    return errorOf('E_FAILED', said);
  }
  const { message = said, advice = '', ...details } = info.details ?? {};
  return errorOf(info.code as ErrorCode, message, { retryable: info.retryable === true, advice, details });
}

/** An error of a source, which no message may be lost of. */
export function sourceError(cause: unknown): ContainerArchiveError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new SourceError('E_SOURCE', `the source failed: ${message}`, {
    cause,
    advice: 'nothing was stored; see why the source failed, then repeat',
  });
}

/** What a signal that was aborted makes of a call. */
export function abortError(signal: AbortSignal): ContainerArchiveError {
  return new AbortError('E_CANCELLED', 'the call was aborted', { cause: signal.reason });
}
