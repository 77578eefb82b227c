// The examples, compiled and run as their readers would, with the package as it is built; and that of the README.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { PASSPHRASE, cli, folder, repository } from './tools.mjs';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const run = promisify(execFile);

/** A project that has the package, and the examples in JavaScript. */
async function project(t) {
  const root = await folder(t);
  await mkdir(join(root, 'node_modules'));
  await symlink(PACKAGE, join(root, 'node_modules/containerarchive'), 'dir');
  await symlink(join(PACKAGE, 'node_modules/@types'), join(root, 'node_modules/@types'), 'dir');
  await cp(join(PACKAGE, 'examples'), root, { recursive: true });
  await writeFile(join(root, 'package.json'), '{"type":"module"}');
  const tsc = join(PACKAGE, 'node_modules/typescript/bin/tsc');
  const options = ['--strict', '--target', 'es2022', '--module', 'nodenext', '--types', 'node'];
  await run(process.execPath, [tsc, ...options, 'dump.ts', 'several.ts', 'progress.ts'], { cwd: root });
  const env = { ...process.env, BACKUP_PASSPHRASE: PASSPHRASE };
  return { root, run: (...words) => run(process.execPath, words, { cwd: root, env }) };
}

test('the examples compile against the package in strict mode and do what they say', async (t) => {
  const { path } = await repository(t);
  const example = await project(t);
  const dump = await example.run('dump.js', path, 'sh', '-c', 'seq 1000');
  assert.match(dump.stdout, /^snapshot [0-9a-f]{32}: 3893 bytes\n$/);
  await assert.rejects(example.run('dump.js', path, 'sh', '-c', 'seq 1000; echo refused >&2; exit 1'), (error) => {
    assert.match(error.stderr, /exit code 1: refused/);
    return true;
  });
  assert.equal((await example.run('several.js', path, example.root)).stdout, 'orders.sql 21\nconfig.json 16\n');
  assert.equal(await readFile(join(example.root, 'config.json'), 'utf8'), '{"debug":false}\n');
  await writeFile(join(example.root, 'file'), 'content');
  const progress = await example.run('progress.js', path, 'file');
  assert.match(progress.stdout, /^1 new chunks, 0 found again\n$/);
  assert.match(progress.stderr, /100 %/);
  assert.equal(JSON.parse(cli(path, 'snapshots', '--json').stdout).snapshots.length, 3);
});

test('the example of the README runs as it stands there', async (t) => {
  const example = await project(t);
  const readme = await readFile(join(PACKAGE, 'README.md'), 'utf8');
  const [, text] = /```js\n(.*?)```/s.exec(readme);
  await writeFile(join(example.root, 'app.sql'), 'create table orders;\n');
  await writeFile(join(example.root, 'readme.js'), text.replace('/backup/app', join(example.root, 'backup')));
  assert.match((await example.run('readme.js')).stdout, /^[0-9a-f]{32} 1 0\n$/);
  assert.equal(await readFile(join(example.root, 'restored.sql'), 'utf8'), 'create table orders;\n');
});
