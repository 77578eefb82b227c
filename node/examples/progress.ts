// Progress on the terminal: node progress.js REPOSITORY FILE
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { ContainerArchive } from 'containerarchive';

const [path = '', file = ''] = process.argv.slice(2);
const repo = await ContainerArchive.open(path, { passphrase: process.env['BACKUP_PASSPHRASE'] ?? '' });
const subscription = repo.on('ingest:progress', ({ percentage, bytes, rate }) => {
  const share = percentage === null ? '' : `${percentage.toFixed(0).padStart(3)} % `;
  process.stderr.write(`\r${share}${(bytes / 1e6).toFixed(1)} MB, ${(rate / 1e6).toFixed(1)} MB/s   `);
});
const { size } = await stat(file);
const snapshot = await repo.ingest(createReadStream(file), { items: [{ name: 'file', type: 'file', size }] });
subscription.unsubscribe();
process.stderr.write('\n');
console.log(`${snapshot.newChunks} new chunks, ${snapshot.reusedChunks} found again`);
await repo.close();
