import { accessSync, constants, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { BinaryError } from './errors.js';

const NAME = process.platform === 'win32' ? 'containerarchive.exe' : 'containerarchive';

/** A place where the program may be. */
interface Place {
  /** For the message. */
  what: string;
  path: string | undefined;
  /** Somebody named it: nothing else will do. */
  isNamed?: boolean;
}

/** Name of the package that has the program for this computer. */
export const PLATFORM_PACKAGE = `containerarchive-${process.platform}-${process.arch}`;

function platformPackage(): string | undefined {
  try {
    const manifest = createRequire(import.meta.url).resolve(`${PLATFORM_PACKAGE}/package.json`);
    return join(dirname(manifest), NAME);
  } catch {
    return undefined;
  }
}

function* places(option: string | undefined): Generator<Place> {
  if (option !== undefined) {
    yield { what: 'the option `binary`', path: option, isNamed: true };
  }
  const variable = process.env['CONTAINERARCHIVE_BINARY'];
  if (variable) {
    yield { what: 'CONTAINERARCHIVE_BINARY', path: variable, isNamed: true };
  }
  yield { what: `the package ${PLATFORM_PACKAGE}`, path: platformPackage() };
  // Of this module, never of the working folder, which may belong to anybody.
  const workspace = fileURLToPath(new URL('../../target/', import.meta.url));
  yield { what: 'the release build', path: join(workspace, 'release', NAME) };
  yield { what: 'the debug build', path: join(workspace, 'debug', NAME) };
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    if (folder !== '') {
      yield { what: 'PATH', path: join(folder, NAME) };
    }
  }
}

function whyNot(path: string | undefined): string | undefined {
  if (path === undefined) {
    return 'is not installed';
  }
  try {
    if (!statSync(path).isFile()) {
      return 'is no file';
    }
    accessSync(path, constants.X_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'cannot be executed' : 'is not there';
  }
}

/**
 * Path of the program: the option, `CONTAINERARCHIVE_BINARY`, the package of the platform, the build folder of the
 * workspace, `PATH`; the first that is there.
 *
 * @throws BinaryError with every place that was tried.
 */
export function findBinary(option?: string): string {
  const tried: string[] = [];
  for (const { what, path, isNamed } of places(option)) {
    const why = whyNot(path);
    if (path !== undefined && why === undefined) {
      return path;
    }
    tried.push(path === undefined ? `${what} ${why}` : `${what}: ${path} ${why}`);
    if (isNamed) {
      break;
    }
  }
  throw new BinaryError('E_BINARY', `the program containerarchive was not found:\n${tried.map((line) => `  ${line}\n`).join('')}`, {
    advice:
      `install ${PLATFORM_PACKAGE}; if npm left it out as it does at times with optional dependencies, ` +
      'remove node_modules and package-lock.json and install again; or name a program in CONTAINERARCHIVE_BINARY',
    details: { tried },
  });
}
