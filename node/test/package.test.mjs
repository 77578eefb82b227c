// The packages as they are packed: what is in them, and a project that has installed them, with npm and with pnpm.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { PLATFORM_PACKAGE } from '../dist/index.js';
import { folder } from './tools.mjs';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const TSC = join(PACKAGE, 'node_modules/typescript/bin/tsc');
const PNPM = 'pnpm@12.21.0';

/** Where `cargo xtask test --only node` has packed them. */
const PACKED = process.env['CONTAINERARCHIVE_TEST_PACKAGES'];
const LACKING = PACKED === undefined && 'SKIPPED: nothing is packed; run `cargo xtask test --only node`';
/** What says that there is no registry; anything else is a failure. */
const OFFLINE = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|ETIMEDOUT/;

const read = async (...parts) => JSON.parse(await readFile(join(...parts), 'utf8'));
const { version } = await read(PACKAGE, 'package.json');
const tarball = (name) => join(PACKED, `${name}-${version}.tgz`);
const execute = promisify(execFile);

/** How those compile who use the package. */
const CONSUMERS = {
  nodenext: { module: 'nodenext', moduleResolution: 'nodenext', outDir: '.' },
  bundler: { module: 'esnext', moduleResolution: 'bundler', noEmit: true },
  'without the types of browsers': { module: 'nodenext', moduleResolution: 'nodenext', lib: ['es2023'], noEmit: true },
};

/** An empty project, with the first example of the README as a program of its own. */
async function project(t) {
  const root = await folder(t);
  const home = join(root, 'project');
  await mkdir(home);
  const lock = await read(PACKAGE, 'package-lock.json');
  const types = lock.packages['node_modules/@types/node'].version;
  const [, example] = /```js\n(.*?)```/s.exec(await readFile(join(PACKAGE, 'README.md'), 'utf8'));
  await writeFile(join(home, 'example.ts'), example.replace('/backup/app', join(root, 'backup')));
  await writeFile(join(home, 'app.sql'), 'create table orders;\n');

  // Nothing of what package managers keep goes where a user has it. What they are told stays: it names the registry.
  const env = { ...process.env, npm_config_cache: join(root, 'cache'), PNPM_HOME: join(root, 'pnpm') };
  for (const name of ['CACHE', 'DATA', 'STATE']) {
    env[`XDG_${name}_HOME`] = join(root, name);
  }
  for (const name of ['CONTAINERARCHIVE_BINARY', 'npm_config_local_prefix', 'INIT_CWD']) {
    delete env[name];
  }
  const run = (program, ...words) => execute(program, words, { cwd: home, env });
  return { root, home, types, run };
}

/** Runs what needs a registry; without one the test is skipped. */
async function online(t, action) {
  try {
    return await action();
  } catch (error) {
    const said = `${error.stdout}${error.stderr}`;
    if (!OFFLINE.test(said)) {
      throw new Error(`${error.message}\n${said}`);
    }
    t.skip(`SKIPPED: there is no registry: ${OFFLINE.exec(said)[0]}`);
    return undefined;
  }
}

/** The project finds the program in the package of the platform, compiles the example in strict mode, and runs it. */
async function assertItWorks({ home, run }) {
  const find = "import { findBinary } from 'containerarchive'; console.log(findBinary());";
  const found = (await run(process.execPath, '--input-type=module', '--eval', find)).stdout.trim();
  assert.ok(found.startsWith(join(await realpath(home), 'node_modules')), found);
  assert.ok(found.endsWith(join(PLATFORM_PACKAGE, 'containerarchive')), found);
  for (const [name, how] of Object.entries(CONSUMERS)) {
    const strict = { strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: false };
    const compilerOptions = { ...strict, target: 'es2022', types: ['node'], ...how };
    await writeFile(join(home, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['example.ts'] }));
    await run(process.execPath, TSC).catch((error) => assert.fail(`${name}: ${error.stdout}`));
  }
  assert.match((await run(process.execPath, 'example.js')).stdout, /^[0-9a-f]{32} 1 0\n$/);
  assert.equal(await readFile(join(home, 'restored.sql'), 'utf8'), 'create table orders;\n');
}

test('the packages have what users need, and nothing else', { skip: LACKING }, async (t) => {
  const root = await folder(t);
  const unpack = async (name) => {
    const home = join(root, name);
    await mkdir(home);
    await execute('tar', ['-xzf', tarball(name), '-C', home, '--strip-components=1']);
    const files = (await readdir(home, { recursive: true, withFileTypes: true })).filter((file) => file.isFile());
    const names = files.map((file) => join(file.parentPath ?? file.path, file.name).slice(home.length + 1)).sort();
    return { names, manifest: await read(home, 'package.json'), home };
  };

  const main = await unpack('containerarchive');
  const sources = (await readdir(join(PACKAGE, 'src'))).map((name) => name.slice(0, -'.ts'.length));
  const dist = sources.flatMap((name) => [`dist/${name}.js`, `dist/${name}.d.ts`]);
  assert.deepEqual(main.names, [...dist, 'LICENSE', 'README.md', 'package.json'].sort());
  const { exports, ...manifest } = main.manifest;
  assert.deepEqual(manifest.dependencies, { rxjs: (await read(PACKAGE, 'package.json')).dependencies.rxjs });
  assert.deepEqual(manifest.optionalDependencies, { 'containerarchive-linux-x64': version });
  assert.deepEqual([manifest.type, manifest.engines, manifest.version], ['module', { node: '>=20.19' }, version]);
  assert.deepEqual([manifest.scripts, manifest.devDependencies], [undefined, undefined]);
  // Whoever reads it takes the first condition that fits.
  assert.deepEqual(Object.keys(exports['.']), ['types', 'default']);

  const platform = await unpack(PLATFORM_PACKAGE);
  assert.deepEqual(platform.names, ['LICENSE', 'README.md', 'THIRD-PARTY-LICENSES', 'containerarchive', 'package.json']);
  const { name, os, cpu } = platform.manifest;
  assert.deepEqual([name, os, cpu], [PLATFORM_PACKAGE, [process.platform], [process.arch]]);
  assert.equal(platform.manifest.version, version);
  assert.deepEqual([platform.manifest.scripts, platform.manifest.exports], [undefined, undefined]);
  const said = await execute(join(platform.home, 'containerarchive'), ['--version']);
  assert.equal(said.stdout, `containerarchive ${version}\n`);
});

test('installed with npm into an empty folder, the example of the README compiles and runs', { skip: LACKING }, async (t) => {
  const it = await project(t);
  await writeFile(join(it.home, 'package.json'), '{"private":true,"type":"module"}');
  const wanted = [tarball('containerarchive'), tarball(PLATFORM_PACKAGE), `@types/node@${it.types}`];
  const installed = await online(t, () => it.run('npm', 'install', '--no-audit', '--no-fund', ...wanted));
  if (installed === undefined) {
    return;
  }
  assert.doesNotMatch(installed.stderr, /containerarchive/);
  await assertItWorks(it);

  // What npm does at times.
  await rm(join(it.home, 'node_modules', PLATFORM_PACKAGE), { recursive: true });
  await assert.rejects(it.run(process.execPath, 'example.js'), (error) => {
    assert.match(error.stderr, /E_BINARY/);
    assert.ok(error.stderr.includes(`the package ${PLATFORM_PACKAGE} is not installed`), error.stderr);
    assert.ok(error.stderr.includes(`install ${PLATFORM_PACKAGE}@${version}`), error.stderr);
    return true;
  });
});

test('installed with pnpm into an empty folder, the example of the README compiles and runs', { skip: LACKING }, async (t) => {
  const it = await project(t);
  const tools = join(it.root, 'tools');
  const own = ['install', '--no-audit', '--no-fund', '--no-save', '--prefix', tools, PNPM];
  if ((await online(t, () => it.run('npm', ...own))) === undefined) {
    return;
  }
  const dependencies = { '@types/node': it.types, containerarchive: `file:${tarball('containerarchive')}` };
  await writeFile(join(it.home, 'package.json'), JSON.stringify({ private: true, type: 'module', dependencies }));
  // It is on no registry before both are published.
  const overrides = { [PLATFORM_PACKAGE]: `file:${tarball(PLATFORM_PACKAGE)}` };
  await writeFile(join(it.home, 'pnpm-workspace.yaml'), JSON.stringify({ overrides, storeDir: join(it.root, 'store') }));
  const pnpm = join(tools, 'node_modules/.bin/pnpm');
  const installed = await online(t, () => it.run(pnpm, 'install'));
  if (installed === undefined) {
    return;
  }
  assert.doesNotMatch(installed.stdout + installed.stderr, /WARN.*containerarchive|ignored build scripts/i);
  await assertItWorks(it);
});
