// Several streams in one snapshot, and one of them back in a file: node several.js REPOSITORY FOLDER
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ContainerArchive } from 'containerarchive';

const [path = '', folder = ''] = process.argv.slice(2);
const repo = await ContainerArchive.open(path, { passphrase: process.env['BACKUP_PASSPHRASE'] ?? '' });
const snapshot = await repo.ingestMulti(
  [
    { stream: Readable.from(['create table orders;\n']), name: 'orders.sql', type: 'dump' },
    { stream: new Blob(['{"debug":false}\n']), name: 'config.json', type: 'config' },
  ],
  { tags: { app: 'shop' } },
);
await pipeline(repo.restore(snapshot.id, { item: 'config.json' }), createWriteStream(join(folder, 'config.json')));
console.log(snapshot.items.map(({ name, size }) => `${name} ${size}`).join('\n'));
await repo.close();
