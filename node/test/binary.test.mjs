// How the program is found.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { ContainerArchive, PLATFORM_PACKAGE } from '../dist/index.js';
import { folder } from './tools.mjs';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const FIND = `
import { findBinary } from 'containerarchive';
try { console.log(findBinary(process.argv[1])); } catch (error) { console.log(error.code + error.message + error.advice); }`;

/** A file that can be executed. */
async function program(...parts) {
  return script('', ...parts);
}

async function script(text, ...parts) {
  const path = join(...parts, 'containerarchive');
  await mkdir(join(...parts), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${text}`);
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
  return { root, home, modules, find };
}

test('the program is looked for in the option, the variable, the package, the build folder, and PATH', async (t) => {
  const { root, modules, find } = await workspace(t);
  const nothing = await find();
  assert.match(nothing, /^E_BINARY/);
  assert.ok(nothing.includes(`the package ${PLATFORM_PACKAGE} is not installed`), nothing);
  for (const place of ['target/release', 'target/debug']) {
    assert.ok(nothing.includes(`${join(root, place, 'containerarchive')} is not there`), `${place} in ${nothing}`);
  }
  assert.match(nothing, /PATH: \/nowhere\/containerarchive is not there/);
  assert.match(nothing, /cargo build/);
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
  const folder = await find({}, root);
  assert.match(folder, /^E_BINARY.*is no file/s);
  assert.doesNotMatch(folder, /cargo|install/);
  const plain = join(root, 'plain');
  await writeFile(plain, '');
  assert.match(await find({}, plain), /^E_BINARY.*cannot be executed/s);
});

test('an empty variable counts as not set', async (t) => {
  const { root, find } = await workspace(t);
  const debug = await program(root, 'target/debug');
  assert.equal(await find({ CONTAINERARCHIVE_BINARY: '' }), debug);
});

test('a relative path is one of the working folder, and a bare name is not looked for on PATH', async (t) => {
  const { root, home, find } = await workspace(t);
  const PATH = join(root, 'bin');
  await program(PATH);
  assert.match(await find({ PATH }, 'containerarchive'), /^E_BINARY/);
  const here = await program(home);
  assert.equal(await find({ PATH }, 'containerarchive'), here);
  assert.equal(await find({ PATH, CONTAINERARCHIVE_BINARY: './containerarchive' }), here);
});

test('entries of PATH that mean the working folder are not looked at', async (t) => {
  const { home, find } = await workspace(t);
  await program(home);
  await program(home, 'bin');
  assert.match(await find({ PATH: ':.:bin:' }), /^E_BINARY/);
});

test('an installed package looks into no folder beside it, and tells what to install', async (t) => {
  const { root, home, modules, find } = await workspace(t);
  const installed = join(modules, 'containerarchive');
  await rm(installed);
  await cp(join(home, 'dist'), join(installed, 'dist'), { recursive: true });
  const manifest = JSON.parse(await readFile(join(home, 'package.json'), 'utf8'));
  await rm(join(home, 'package.json'));
  const publish = (optionalDependencies) =>
    writeFile(join(installed, 'package.json'), JSON.stringify({ ...manifest, optionalDependencies }));
  await program(modules, 'target/release');
  await program(root, 'target/release');

  await publish({ [PLATFORM_PACKAGE]: '7.8.9' });
  const missing = await find();
  assert.match(missing, /^E_BINARY/);
  assert.doesNotMatch(missing, /target/);
  assert.ok(missing.includes(`install ${PLATFORM_PACKAGE}@7.8.9`), missing);

  await publish({ 'containerarchive-plan9-mips': '7.8.9' });
  assert.match(await find(), /there is no package for \w+ on \w+ yet: build/);
});

test('a program of another version or protocol is refused, and so is what is no engine', async (t) => {
  const path = await folder(t);
  const open = (binary) => ContainerArchive.open(path, { binary, passphrase: 'x' });
  const ready = (version, protocol) => `echo '${JSON.stringify({ event: 'ready', data: { version, protocol } })}'; cat`;
  const { version } = JSON.parse(await readFile(join(PACKAGE, 'package.json'), 'utf8'));
  for (const [other, protocol] of [['9999.1.0', 1], [version, 9999]]) {
    const binary = await script(ready(other, protocol), path, other);
    await assert.rejects(open(binary), (error) => {
      assert.equal(error.code, 'E_BINARY');
      for (const said of [binary, other, `${protocol}`, version]) {
        assert.ok(error.message.includes(said), `${said} in ${error.message}`);
      }
      return true;
    });
  }
  await assert.rejects(open(await script('echo broken >&2; exit 3', path, 'broken')), {
    code: 'E_ENGINE',
    message: /exit code 3; it said: broken/,
  });
});
