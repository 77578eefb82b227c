export { ContainerArchive } from './archive.js';
export { PLATFORM_PACKAGE, findBinary } from './binary.js';
export type { Source } from './content.js';
export type { Events } from './engine.js';
export {
  AbortError,
  BinaryError,
  ContainerArchiveError,
  DamageError,
  EngineError,
  HeldError,
  KeyError,
  NotFoundError,
  SourceError,
  UsageError,
  type ErrorCode,
} from './errors.js';
export { ERROR_CODES } from './protocol.js';
export type * from './protocol.js';
export type * from './types.js';
