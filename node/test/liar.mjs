// A false engine: what it does wrong is the path of the repository that it is told to open.
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { crc32 } from 'node:zlib';

const FOLDER = process.env.LIAR_FOLDER;
const VERSION = process.env.LIAR_VERSION;
const CONTENT = Buffer.alloc(100_000, 'liar');
let lie = '';

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

function frame(bytes) {
  const head = Buffer.alloc(4);
  head.writeUInt32LE(bytes.length);
  return Buffer.concat([head, bytes]);
}

function end(bytes) {
  const whole = Buffer.alloc(12);
  whole.writeBigUInt64LE(BigInt(bytes), 4);
  return whole;
}

const SUM = crc32(CONTENT);
const HUGE = Buffer.from([0xfe, 0xff, 0xff, 0xff]);
/** What goes into the socket of a restore, whether it is closed then, and the result; without one there is none. */
const RESTORES = {
  'no end': [[frame(CONTENT)], true, { bytes: CONTENT.length, crc32: SUM }],
  'nothing': [[], true, { bytes: 0, crc32: 0 }],
  'half a frame': [[frame(CONTENT).subarray(0, 50_000)], true, { bytes: CONTENT.length, crc32: SUM }],
  'half an end': [[frame(CONTENT), end(CONTENT.length).subarray(0, 9)], true, { bytes: CONTENT.length, crc32: SUM }],
  'wrong count': [[frame(CONTENT), end(CONTENT.length + 1)], true, { bytes: CONTENT.length + 1, crc32: SUM }],
  'shorter than the result': [[frame(CONTENT), end(CONTENT.length)], true, { bytes: CONTENT.length + 1, crc32: SUM }],
  'other than the result': [[frame(CONTENT), end(CONTENT.length)], true, { bytes: CONTENT.length, crc32: 1 }],
  'more after the end': [[frame(CONTENT), end(CONTENT.length), frame(CONTENT)], true, { bytes: CONTENT.length, crc32: SUM }],
  'huge frame': [[HUGE, CONTENT], true, { bytes: CONTENT.length, crc32: SUM }],
  'noise': [[Buffer.from('noise, no frames, and much of it')], true, { bytes: 5, crc32: SUM }],
  'empty result': [[frame(CONTENT), end(CONTENT.length)], true, {}],
  'null result': [[frame(CONTENT), end(CONTENT.length)], true, null],
  'no answer': [[frame(CONTENT), end(CONTENT.length)], true],
  'left open': [[frame(CONTENT)], false, { bytes: CONTENT.length, crc32: SUM }],
  'right': [[frame(CONTENT), end(CONTENT.length)], true, { bytes: CONTENT.length, crc32: SUM }],
};
/** Lines that come instead of an answer to `info`. */
const LINES = {
  garbage: 'garbage\n',
  'no object': 'null\n',
  'a number': '7\n',
  'a huge line': 'x'.repeat(5 << 20),
  'bytes': Buffer.from([0xff, 0xfe, 0, 10]),
  'an end': undefined,
};
const ANSWERS = {
  'no result': { success: true },
  'no reason': { success: false },
  'odd reason': { success: false, error: 5, errorInfo: { code: 'E_KEY' } },
  'odd code': { success: false, error: 'x', errorInfo: { code: 5 } },
  'odd success': { success: 'yes', result: {} },
};

const servers = new Map();
let sockets = 0;

function streamOpen(id) {
  sockets += 1;
  const path = join(FOLDER, `${sockets}`);
  const asked = new Promise((ask) => servers.set(path, ask));
  const server = createServer((socket) => {
    socket.on('error', () => {});
    // The connection may be here before the request for which it is.
    asked.then((serve) => serve(socket));
  });
  server.listen(path, () => say({ id, success: true, result: lie === 'no stream' ? {} : { streamId: path, path } }));
}

function restore(id, streamId) {
  const [parts, isClosed, result] = RESTORES[lie];
  servers.get(streamId)((socket) => {
    parts.forEach((part) => socket.write(part));
    if (isClosed) socket.end();
    if (result !== undefined) setTimeout(() => say({ id, success: true, result }), 50);
  });
}

const methods = {
  open: (id, { path }) => {
    lie = path;
    say({ id, success: true, result: {} });
  },
  info: (id) => {
    if (lie in ANSWERS) say({ id, ...ANSWERS[lie] });
    else if (lie === 'an end') process.exit(0);
    else if (lie in LINES) process.stdout.write(LINES[lie]);
  },
  streamOpen,
  restore: (id, { streamId }) => restore(id, streamId),
  cancel: (id) => say({ id, success: true, result: { cancelled: true } }),
  shutdown: () => process.exit(0),
};

process.on('exit', () => rmSync(FOLDER, { recursive: true, force: true }));
say({ event: 'ready', data: JSON.parse(process.env.LIAR_READY ?? JSON.stringify({ version: VERSION, protocol: 1 })) });
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  methods[method]?.(id, params);
}
