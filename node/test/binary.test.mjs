// How the program is found.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { PLATFORM_PACKAGE } from '../dist/index.js';
import { folder } from './tools.mjs';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const FIND = `
import { findBinary } from 'containerarchive';
try { console.log(findBinary(process.argv[1])); } catch (error) { console.log(error.code + error.message + error.advice); }`;

/** A file that can be executed. */
async function program(...parts) {
  const path = join(...parts, 'containerarchive');
  await mkdir(join(...parts), { recursive: true });
  await writeFile(path, '#!/bin/sh\n');
  await chmod(path, 0o755);
  return path;
}

/** A workspace with a copy of this package in it, and what it finds there. */
async function workspace(t) {
  const root = await folder(t);
  const home = join(root, 'node');
  const modules = join(home, 'node_modules');
  await mkdir(modules, { recursive: true });
  await cp(join(PACKAGE, 'dist'), join(home, 'dist'), { recursive: true });
  await cp(join(PACKAGE, 'package.json'), join(home, 'package.json'));
  await symlink(home, join(modules, 'containerarchive'));
  for (const needed of ['rxjs', 'tslib']) {
    await symlink(join(PACKAGE, 'node_modules', needed), join(modules, needed));
  }
  const find = async (env = {}, ...words) => {
    const options = { cwd: home, env: { PATH: '/nowhere', ...env } };
    const asked = ['--input-type=module', '--eval', FIND, '--', ...words];
    return (await promisify(execFile)(process.execPath, asked, options)).stdout.trim();
  };
  return { root, modules, find };
}

test('the program is looked for in the option, the variable, the package, the build folder, and PATH', async (t) => {
  const { root, modules, find } = await workspace(t);
  const nothing = await find();
  assert.match(nothing, /^E_BINARY/);
  for (const place of [PLATFORM_PACKAGE, 'target/release', 'target/debug', '/nowhere', 'CONTAINERARCHIVE_BINARY']) {
    assert.ok(nothing.includes(place), `${place} in ${nothing}`);
  }
  const onPath = await program(root, 'bin');
  assert.equal(await find({ PATH: join(root, 'bin') }), onPath);
  const debug = await program(root, 'target/debug');
  assert.equal(await find({ PATH: join(root, 'bin') }), debug);
  const release = await program(root, 'target/release');
  assert.equal(await find(), release);
  const packaged = await program(modules, PLATFORM_PACKAGE);
  await writeFile(join(modules, PLATFORM_PACKAGE, 'package.json'), `{"name":"${PLATFORM_PACKAGE}"}`);
  assert.equal(await find(), packaged);
  assert.equal(await find({ CONTAINERARCHIVE_BINARY: debug }), debug);
  assert.equal(await find({ CONTAINERARCHIVE_BINARY: debug }, release), release);
});

test('a program that was named and is not there is not replaced by another', async (t) => {
  const { root, find } = await workspace(t);
  await program(root, 'target/release');
  assert.match(await find({ CONTAINERARCHIVE_BINARY: '/no/such' }), /^E_BINARY.*\/no\/such is not there/s);
  assert.match(await find({}, root), /^E_BINARY.*is no file/s);
});
