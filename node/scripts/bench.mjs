// npm run bench [-- FILE [ROUNDS [PIECE_BYTES]]]: the same file stored and restored by the command line and from Node, by
// turns. Pieces are by default as large as Node's streams make them.
import { spawnSync } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { ContainerArchive, findBinary } from '../dist/index.js';

const PASSPHRASE = 'bench';
const NOISE_BYTES = 512 << 20;
const [given, rounds = '3', pieceBytes = '65536'] = process.argv.slice(2);
const place = await mkdtemp(join(tmpdir(), 'containerarchive-bench-'));

async function noise(path) {
  const cipher = createCipheriv('aes-256-ctr', Buffer.alloc(32, 7), Buffer.alloc(16));
  const file = await open(path, 'w');
  for (let made = 0; made < NOISE_BYTES; made += 1 << 20) {
    await file.write(cipher.update(Buffer.alloc(1 << 20)));
  }
  await file.close();
  return path;
}

function cli(repo, words, target = '') {
  const env = { ...process.env, CONTAINERARCHIVE_REPO: repo, CONTAINERARCHIVE_PASSPHRASE: PASSPHRASE };
  const script = `set -o pipefail; "$0" "$@" ${target}`;
  const done = spawnSync('bash', ['-c', script, findBinary(), ...words], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  if (done.status !== 0) {
    throw new Error(`containerarchive ${words.join(' ')} ended with ${done.status}: ${done.stderr}`);
  }
}

/**
 * Memory that the kernel gives to one side for the first time may cost it much more than what the other one has just
 * given back, above all in virtual machines. So everybody gets memory that was used a moment ago.
 */
function warm(size) {
  spawnSync('bash', ['-c', 'head -c "$1" /dev/zero > "$0"; rm "$0"', join(place, 'ballast'), String(3 * size)]);
}

const seconds = { 'cli ingest': [], 'cli ingest from a pipe': [], 'node ingest': [], 'cli restore': [], 'node restore': [] };
async function measure(what, size, work) {
  // What others have left to be written is not paid for by this one.
  spawnSync('sync');
  warm(size);
  const since = performance.now();
  await work();
  seconds[what].push((performance.now() - since) / 1e3);
}

/** Another one is the first. */
function shifted(list, by) {
  const at = by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

try {
  const file = given ?? (await noise(join(place, 'noise')));
  const { size } = await stat(file);
  const sink = () => new Writable({ write: (_piece, _encoding, done) => done() });
  const ingests = {
    'cli ingest': (repo) => cli(repo, ['--quiet', 'ingest', file]),
    'cli ingest from a pipe': (repo) => cli(repo, ['--quiet', 'ingest', '--name', 'file', '-'], `< <(cat '${file}')`),
    'node ingest': (_repo, archive) =>
      archive.ingest(createReadStream(file, { highWaterMark: Number(pieceBytes) }), { items: [{ name: 'file', type: 'file', size }] }),
  };
  for (let round = 0; round < Number(rounds); round += 1) {
    // By turns, and each alone on the disk.
    for (const what of shifted(Object.keys(ingests), round)) {
      const repo = join(place, `${what.replaceAll(' ', '-')}-${round}`);
      const archive = await ContainerArchive.init(repo, { passphrase: PASSPHRASE });
      await measure(what, size, () => ingests[what](repo, archive));
      if (what === 'node ingest') {
        // Through a pipe, as from Node, and not into a file.
        await measure('cli restore', size, () => cli(repo, ['--quiet', 'restore', 'latest', '--to', '-'], '| cat > /dev/null'));
        await measure('node restore', size, () => pipeline(archive.restore('latest'), sink()));
      }
      await archive.close();
      await rm(repo, { recursive: true });
    }
  }
  const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
  const speed = (what) => size / 1e6 / median(seconds[what]);
  const compare = (node, command) => {
    const share = ((100 * speed(node)) / speed(command)).toFixed(0);
    console.log(`${node}: ${speed(node).toFixed(0)} MB/s, ${share} % of ${command}, ${speed(command).toFixed(0)} MB/s`);
  };
  compare('node ingest', 'cli ingest');
  compare('node ingest', 'cli ingest from a pipe');
  compare('node restore', 'cli restore');
} finally {
  await rm(place, { recursive: true, force: true });
}
