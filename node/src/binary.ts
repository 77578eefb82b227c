import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { BinaryError, UsageError } from './errors.js';

/** The folder of this package. */
const HOME = fileURLToPath(new URL('..', import.meta.url));
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
    if (typeof option !== 'string') {
      throw new UsageError('E_USAGE', 'the option `binary` is a path');
    }
    yield { what: 'the option `binary`', path: resolve(option), isNamed: true };
  }
  const variable = process.env['CONTAINERARCHIVE_BINARY'];
  if (variable) {
    yield { what: 'CONTAINERARCHIVE_BINARY', path: resolve(variable), isNamed: true };
  }
  yield { what: `the package ${PLATFORM_PACKAGE}`, path: platformPackage() };
  // Beside this module, never in the working folder, which may belong to anybody. An installed package is in no
  // workspace: beside it there are other people's packages, of which one may be named `target`.
  const parent = dirname(resolve(HOME));
  if (basename(parent) !== 'node_modules') {
    yield { what: 'the release build', path: join(parent, 'target', 'release', NAME) };
    yield { what: 'the debug build', path: join(parent, 'target', 'debug', NAME) };
  }
  // Entries that are relative mean the working folder, too.
  for (const folder of (process.env['PATH'] ?? '').split(delimiter).filter(isAbsolute)) {
    yield { what: 'PATH', path: join(folder, NAME) };
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

/** What helps if the program was not found. Only an installed package knows for which computers there are packages. */
function advice(isNamed: boolean): string {
  if (isNamed) {
    return 'name the program by its path, or leave the option and CONTAINERARCHIVE_BINARY out, and it is looked for';
  }
  const manifest: unknown = JSON.parse(readFileSync(join(HOME, 'package.json'), 'utf8'));
  const { optionalDependencies: packages } = manifest as { optionalDependencies?: Record<string, string> };
  const build = 'build the program with `cargo build --release -p containerarchive-cli`';
  if (packages === undefined) {
    return build;
  }
  const version = packages[PLATFORM_PACKAGE];
  if (version === undefined) {
    const computer = `${process.platform} on ${process.arch}`;
    return `there is no package for ${computer} yet: ${build} and name it in CONTAINERARCHIVE_BINARY`;
  }
  return (
    `install ${PLATFORM_PACKAGE}@${version}; if npm left it out, as it does at times with optional dependencies, remove ` +
    'node_modules and package-lock.json and install again; or name a program in CONTAINERARCHIVE_BINARY'
  );
}

/**
 * Path of the program: the option, `CONTAINERARCHIVE_BINARY`, the package of the platform, the build folder of the
 * workspace, `PATH`; the first that is there. What was named by the option or the variable is taken or nothing.
 *
 * @throws BinaryError with every place that was tried.
 */
export function findBinary(option?: string): string {
  const tried: string[] = [];
  let isNamed = false;
  for (const place of places(option)) {
    const { what, path } = place;
    const why = whyNot(path);
    if (path !== undefined && why === undefined) {
      return path;
    }
    tried.push(path === undefined ? `${what} ${why}` : `${what}: ${path} ${why}`);
    isNamed = place.isNamed ?? false;
    if (isNamed) {
      break;
    }
  }
  const list = tried.map((line) => `  ${line}\n`).join('');
  throw new BinaryError('E_BINARY', `the program containerarchive was not found:\n${list}`, {
    advice: advice(isNamed),
    details: { tried },
  });
}
