#!/usr/bin/env python3
"""Tests of restore.py.

    test.py [--self]                      needs no repository: it has its own small writer
    test.py --binary PATH --golden DIR    also the golden repositories, fresh ones made by the program, and the
                                          format kit (--kit DIR, or the folder kit beside that of --golden)

Each case is a line; the last line is `N passed, M failed`.
"""
import argparse, base64, concurrent.futures, gzip, hashlib, hmac, json, os, random, re, shutil, struct, subprocess, sys, tempfile
import threading, traceback, zlib

import argon2.low_level
import zstandard
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
import restore as reader                                                    # noqa: E402

SEED = 20261122
passed, failed, lock = 0, 0, threading.Lock()


def case(name, run):
    global passed, failed
    try:
        run()
        wrong = None
    except Exception as e:
        wrong = str(e) if isinstance(e, AssertionError) and str(e) else traceback.format_exc()
    with lock:
        passed, failed = passed + (wrong is None), failed + (wrong is not None)
        print(f"ok    {name}" if wrong is None else f"FAIL  {name}: {wrong}", flush=True)


def at_once(cases):
    """Cases that only start processes, two at a time."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for _ in pool.map(lambda one: case(*one), cases):
            pass


def equal(found, wanted):
    assert found == wanted, f"found {found!r:.300}, wanted {wanted!r:.300}"


def refused(rule, run):
    try:
        run()
    except reader.Refused as e:
        assert rule in e.what, f"refused for {e.what!r}, not {rule}"
        return
    raise AssertionError(f"not refused ({rule})")


# ---- Running restore.py and the program -----------------------------------------------------------------------------

def run_reader(repository, *args, passphrase=None, key_file=None, check=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith("CONTAINERARCHIVE_")}
    if passphrase is not None:
        env["CONTAINERARCHIVE_PASSPHRASE"] = passphrase
    extra = [] if key_file is None else ["--key-file", key_file]
    done = subprocess.run([sys.executable, os.path.join(HERE, "restore.py"), *extra, repository, *args], env=env,
                          capture_output=True, timeout=600)
    done.err = done.stderr.decode(errors="replace")
    assert "Traceback" not in done.err, f"traceback:\n{done.err}"
    if check is not None:
        assert done.returncode == check, f"exit {done.returncode}, wanted {check}:\n{done.err}"
    return done


def listed(repository, **how):
    return json.loads(run_reader(repository, "list", "--json", check=0, **how).stdout)["snapshots"]


def tree(folder):
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            with open(full, "rb") as f:
                found[os.path.relpath(full, folder)] = hashlib.file_digest(f, "sha256").hexdigest()
    return found


def restored(repository, snapshot, check=0, **how):
    """What a restore to a folder gives, as name → sha256, and the process."""
    with tempfile.TemporaryDirectory() as folder:
        done = run_reader(repository, "restore", snapshot, "--to", os.path.join(folder, "out"), check=check, **how)
        return tree(folder + "/out"), done


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# ---- An independent writer ------------------------------------------------------------------------------------------

def le(n, size):
    return n.to_bytes(size, "little")


def hkdf(key, salt, info, size):                                            # RFC 5869 by hand
    prk, out, block, i = hmac.digest(salt, key, "sha256"), b"", b"", 1
    while len(out) < size:
        block, i = hmac.digest(prk, block + info + bytes([i]), "sha256"), i + 1
        out += block
    return out[:size]


def gzip_member(plain):
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    return (bytes.fromhex("1f8b08000000000000ff") + deflate.compress(plain) + deflate.flush()
            + le(zlib.crc32(plain), 4) + le(len(plain), 4))


def hpke_send(public, info, psk, psk_id, ephemeral=None, aead=0xFFFF):
    """RFC 9180 SetupPSKS: enc and an exporter."""
    def extract(suite, salt, label, ikm):
        return hmac.digest(salt, b"HPKE-v1" + suite + label + ikm, "sha256")

    def expand(suite, prk, label, info, size):
        return hmac.digest(prk, size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + b"\x01", "sha256")[:size]

    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01" + aead.to_bytes(2, "big")
    ephemeral = ephemeral or X25519PrivateKey.generate()
    enc = ephemeral.public_key().public_bytes_raw()
    dh = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
    shared = expand(kem, extract(kem, b"", b"eae_prk", dh), b"shared_secret", enc + public, 32)
    context = b"\x01" + extract(suite, b"", b"psk_id_hash", psk_id) + extract(suite, b"", b"info_hash", info)
    exporter = expand(suite, extract(suite, shared, b"secret", psk), b"exp", context, 32)
    return enc, lambda label, size=32: expand(suite, exporter, b"sec", label, size)


def slow_product(a, b):                                                     # GF(2^8), 0x11D, bit by bit
    product = 0
    for bit in range(8):
        product ^= a << bit if b >> bit & 1 else 0
    for bit in range(14, 7, -1):
        product ^= 0x11d << bit - 8 if product >> bit & 1 else 0
    return product


def slow_inverse(a):
    return next(b for b in range(1, 256) if slow_product(a, b) == 1)


def derive_key_pair(ikm):
    prk = hmac.digest(b"", b"HPKE-v1KEM\x00\x20dkp_prk" + ikm, "sha256")
    return X25519PrivateKey.from_private_bytes(hmac.digest(prk, b"\x00\x20HPKE-v1KEM\x00\x20sk\x01", "sha256"))


TIME = "2026-11-22T18:44:18.%03dZ"


class Writer:
    """Makes small repositories as the document says, with tiny chunks and nodes of few entries."""

    def __init__(self, folder, passphrase=None, key=None):
        self.folder, self.suite, self.clock = folder, int(passphrase is not None or key is not None), 0
        self.id, self.root = os.urandom(16), os.urandom(32)
        self.sign = Ed25519PrivateKey.from_private_bytes(self.kdf(self.root, b"sign"))
        if passphrase is not None:
            self.slot("admin", self.root, passphrase=passphrase)
        if key is not None:
            self.slot("admin", self.root, key=key)
        record = os.urandom(16).hex()
        self.text("settings", f"records/settings/{record}.json", {
            "created": self.now(), "sequence": 1, "compression": "auto", "packSizeBytes": 16777216, "parity": "3+2"},
            signed=True, replica=True)
        self.text("config", "config.json", {
            "version": 1, "serial": 1, "created": self.now(), "requires": [], "suite": self.suite,
            "chunkHash": ["sha-256", "hmac-sha-256"][self.suite],
            "chunking": {"algorithm": "fastcdc-nc2", "min": 64, "average": 256, "max": 1024}, "weakStore": False},
            signed=True, replica=True)

    def now(self):
        self.clock += 1
        return TIME % self.clock

    def put(self, name, data):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as f:
            f.write(data)

    def kdf(self, key, label, context=b"", size=32):
        return hkdf(key, self.id, b"containerarchive/1 " + label + b"\0" + context, size)

    def text(self, kind, name, body, signed=False, replica=False):
        line = json.dumps({"kind": kind, "repository": self.id.hex(), "name": name} | body,
                          separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        two = line + (b"ed25519 " + self.sign.sign(line).hex().encode() if signed and self.suite else b"unsigned") + b"\n"
        data = two + b"blake3 " + blake3(two).hexdigest().encode() + b"\n"
        self.put(name, data)
        if replica:
            self.put("replicas/" + name, data)
        return data

    def seal(self, key, nonce, aad, text):
        if self.suite:
            return AESGCM(key).encrypt(nonce, text, aad)
        return text + blake3(nonce + le(len(aad), 4) + aad + text, key=key).digest()[:16]

    def blob(self, key, content):
        content = le(len(content), 8) + content
        pieces = [content[i:i + 4080].ljust(4080, b"\0") for i in range(0, len(content), 4080)]
        return b"".join(self.seal(key, le(i, 4) + le(int(i == len(pieces) - 1), 4) + bytes(4), b"", piece)
                        for i, piece in enumerate(pieces))

    def slot(self, capability, payload, passphrase=None, key=None):
        slot, salt, byte = os.urandom(16), os.urandom(32), {"admin": b"\1", "write": b"\2"}[capability]
        if key is None:
            kdf = {"algorithm": "argon2id", "memoryKiB": 19456, "passes": 1, "lanes": 1}
            both = argon2.low_level.hash_secret_raw(passphrase.encode(), salt, 1, 19456, 1, 64, argon2.low_level.Type.ID)
            algorithm = b"\1" + le(19456, 4) + le(1, 4) + le(1, 4)
        else:
            kdf, both, algorithm = {"algorithm": "key-file"}, self.kdf(key, b"key-file", salt, 64), b"\2" + bytes(12)
        aad = b"containerarchive/1 slot\0" + self.id + slot + byte + algorithm + salt
        text = json.dumps({"label": "", "domain": "0" * 32, "domainName": None}).encode()
        text = AESGCM(self.kdf(self.root, b"slot-text", slot)).encrypt(bytes(12), text.ljust(256), b"")
        self.text("key", f"keys/{slot.hex()}.json", {
            "capability": capability, "created": self.now(), "kdf": kdf, "salt": salt.hex(), "commitment": both[32:].hex(),
            "sealed": AESGCM(both[:32]).encrypt(bytes(12), payload, aad).hex(), "text": text.hex()}, replica=True)

    def secret(self, domain):
        return self.kdf(self.root, b"domain", domain) if self.suite else bytes(32)

    def public(self, domain):
        return derive_key_pair(self.kdf(self.root, b"hpke", domain + le(self.suite, 2))).public_key().public_bytes_raw()

    def prefix(self, kind, domain, session, salt, klass=0):
        return (bytes.fromhex("894341520d0a1a0a") + le(1, 2) + le(kind, 2) + le(self.suite, 2) + bytes([klass, 0])
                + self.id + domain + session + salt)

    def object_key(self, label, prefix, domain):
        """Key, enc, commitment."""
        if not self.suite:
            both = self.kdf(bytes(32), label, prefix, 64)
            return both[:32], bytes(32), both[32:]
        psk = self.kdf(self.secret(domain), b"psk")
        enc, export = hpke_send(self.public(domain), prefix, psk, domain)
        return export(b"key"), enc, export(b"commitment")

    def hash(self, domain, kind, text):
        if not self.suite:
            return hashlib.sha256(text).digest()
        return hmac.digest(self.kdf(self.secret(domain), b"chunk-id"), bytes([kind]) + text, "sha256")

    def pack(self, klass, domain, session, chunks, idx=True, padding=None):
        """chunks: (kind, hash, plaintext, codec)."""
        prefix = self.prefix(1, domain, session, os.urandom(32), klass)
        key, enc, commitment = self.object_key(b"pack", prefix, domain)
        head = prefix + enc + commitment
        body, table = b"", b""
        if padding is not None:
            chunks = chunks + [(0, bytes(32), bytes(padding), 0)]
        for i, (kind, hash, plain, codec) in enumerate(chunks):
            text = [lambda t: t, zstandard.ZstdCompressor(level=3).compress, gzip_member][codec](plain)
            if len(text) >= len(plain):
                text, codec = plain, 0
            record = hash + le(len(text) + 16, 4) + le(len(plain), 4) + bytes([kind, codec, 0, 0]) + b"\xff" * 4
            body += self.seal(key, le(i, 4) + hash[:8], record, text)
            table += record
        both = self.kdf(self.kdf(self.secret(domain), b"table"), b"object", head, 64)
        tail = both[32:] + self.blob(both[:32], table)
        tail += le(len(tail), 4) + b"CTBL"
        data = head + body + tail
        name = blake3(data).hexdigest()
        self.put(f"packs/data/{name[:2]}/{name}.pack", data)
        if idx:
            data = (self.prefix(2, domain, session, bytes(32), klass) + bytes.fromhex(name) + le(len(data), 8) + head + tail)
            self.put(f"packs/data/{name[:2]}/{name}.idx", data + blake3(data).digest())
        return name

    def parity(self, packs, shards, klass=1, domain=bytes(16), first_rows=None):
        """Shards of a group of these packs: bits by hand, all columns from 238 on around."""
        group, session, members = os.urandom(32), os.urandom(16), []
        for i, pack in enumerate(packs):
            with open(os.path.join(self.folder, f"packs/data/{pack[:2]}/{pack}.pack"), "rb") as f:
                members.append(((238 + i) % 240, pack, (first_rows or {}).get(i, 0), f.read()))
        members.sort()
        rows = max(first + -(-len(data) // 32768) for _, _, first, data in members)
        sums, parity = [b""] * rows, [[bytes(32768)] * rows for _ in range(shards)]
        for column, _, first, data in members:
            for row in range(rows):
                block = data[(row - first) * 32768:(row - first + 1) * 32768] if row >= first else b""
                sums[row] += reader.block_sum(row - first, block) if block else bytes(16)
                for i in range(shards):
                    table = bytes(slow_product(slow_inverse(240 + i ^ column), value) for value in range(256)) if block else None
                    if block:
                        both = zip(parity[i][row], block.ljust(32768, b"\0").translate(table))
                        parity[i][row] = bytes(a ^ b for a, b in both)
        last = max(len(data) - (rows - 1 - first) * 32768 for _, _, first, data in members)
        for row in range(rows):
            for i in range(shards):
                parity[i][row] = parity[i][row][:32768 if row + 1 < rows else last]
            sums[row] += b"".join(reader.block_sum(row, parity[i][row]) for i in range(shards))
            sums[row] += blake3(group + le(row, 4) + sums[row]).digest()[:16]
        names = []
        for i in range(shards):
            front = self.prefix(4, domain, session, group, klass) + bytes([i, shards]) + le(len(members), 2) + le(rows, 4) + bytes(8)
            front += b"".join(bytes.fromhex(pack) + le(len(data), 8) + le(first, 4) + bytes([column, 0, 0, 0])
                              for column, pack, first, data in members)
            front += blake3(front).digest()
            data = front + b"".join(sums) + b"".join(parity[i]) + b"".join(sums) + front + le(len(front), 4) + b"PRTY"
            names.append(f"packs/parity/{blake3(data).hexdigest()}.par")
            self.put(names[-1], data)
        return names

    def ingest(self, items, domain=bytes(16), chunk=256, fan=3, idx=True, per_pack=40, previous=(), change=None):
        session, data, nodes, listed = os.urandom(16), {}, {}, []

        def node(level, entries):
            text = bytes([1, level, 0, 0]) + le(len(entries), 4) + b"".join(
                h + (le(c, 8) + le(n, 8) if level else le(n, 4)) for h, c, n in entries)
            hash = self.hash(domain, 2, text)
            nodes[hash] = text
            return hash, sum(e[1] for e in entries), sum(e[2] for e in entries)

        for name, content in items.items():
            level, entries = 0, []
            for i in range(0, len(content), chunk):
                piece = content[i:i + chunk]
                hash = self.hash(domain, 1, piece)
                data[hash] = piece
                entries.append((hash, 1, len(piece)))
            entries = [node(0, entries[i:i + fan]) for i in range(0, len(entries), fan)] or [node(0, [])]
            while len(entries) > 1:
                level += 1
                entries = [node(level, entries[i:i + fan]) for i in range(0, len(entries), fan)]
            listed.append({"name": name, "type": "file", "size": len(content), "content": "recipe",
                           "root": entries[0][0].hex(), "evidence": None})
        packs = []
        for klass, kind, chunks in ((1, 1, data), (2, 2, nodes)):
            all = [(kind, hash, text, i % 3) for i, (hash, text) in enumerate(chunks.items())]
            for i in range(0, len(all), per_pack):
                packs.append(self.pack(klass, domain, session, all[i:i + per_pack], idx, 100 if self.suite else None))
        committed, name = self.now(), f"snapshots/{session.hex()}.json"
        inner = {"version": 1, "id": session.hex(), "createdAt": committed, "committedAt": committed, "series": "s", "tags": {},
                 "originalSize": sum(map(len, items.values())), "storedSize": 0, "chunkCount": len(data),
                 "newChunks": len(data), "reusedChunks": 0, "items": listed, "host": "h", "user": "u", "durationMs": 1,
                 "previous": list(previous)}
        if change:
            change(inner)
        salt = os.urandom(32)
        key, enc, commitment = self.object_key(b"manifest", self.prefix(6, domain, session, salt), domain)
        pages = self.blob(key, json.dumps(inner, ensure_ascii=False).encode())
        data = self.text("manifest", name, {
            "suite": self.suite, "domain": domain.hex(), "committed": committed, "salt": salt.hex(), "enc": enc.hex(),
            "commitment": commitment.hex(), "pages": base64.b64encode(pages).decode()}, replica=True)
        return session.hex(), packs, data


# ---- --self: the units ----------------------------------------------------------------------------------------------

def unit_kdf():
    key, repo = bytes(range(32)), bytes(range(16))
    for size in (32, 64, 2048):
        equal(reader.kdf(key, b"gear", b"ctx", repo, size), hkdf(key, repo, b"containerarchive/1 gear\0ctx", size))
    okm = hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xf0, 0xfa)), 42)    # RFC 5869, A.1
    equal(okm.hex(), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")


HPKE_INFO = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
HPKE_PSK = bytes.fromhex("0247fd33b913760fa1fa51e1892d9f307fbe65eb171e8132c2af18555a738b82")
HPKE_PSK_ID = bytes.fromhex("456e6e796e20447572696e206172616e204d6f726961")


def unit_hpke_vector():
    """RFC 9180, A.1.2: mode_psk; its AEAD id goes into the key schedule, so it is a parameter here."""
    private = reader.hpke_key_pair(bytes.fromhex("d4a09d09f575fef425905d2ab396c1449141463f698f8efdb7accfaff8995098"))
    equal(private.public_key().public_bytes_raw().hex(), "9fed7e8c17387560e92cc6462a68049657246a09bfa8ade7aefe589672016366")
    enc = bytes.fromhex("0ad0950d9fb9588e59690b74f1237ecdf1d775cd60be2eca57af5a4b0471c91b")
    shared = reader.hpke_decap(enc, private)
    equal(shared.hex(), "727699f009ffe3c076315019c69648366b69171439bd7dd0807743bde76986cd")
    suite = b"HPKE\0\x20\0\x01\0\x01"
    equal(reader.hpke_psk_export(shared, HPKE_INFO, HPKE_PSK, HPKE_PSK_ID, [b""], suite)[0].hex(), "dff17af354c8b41673567db6259fd6029967b4e1aad13023c2ae5df8f4f43bf6")


def unit_hpke_round_trip():
    private = derive_key_pair(b"seed of thirty-two bytes or more")
    equal(private.private_bytes_raw(), reader.hpke_key_pair(b"seed of thirty-two bytes or more").private_bytes_raw())
    enc, export = hpke_send(private.public_key().public_bytes_raw(), b"info", HPKE_PSK, b"id")
    labels = (b"key", b"commitment")
    right = list(map(export, labels))
    equal(reader.hpke_psk_export(reader.hpke_decap(enc, private), b"info", HPKE_PSK, b"id", labels), right)
    for info, psk, id in ((b"Info", HPKE_PSK, b"id"), (b"info", bytes(32), b"id"), (b"info", HPKE_PSK, b"Id")):
        assert not set(reader.hpke_psk_export(reader.hpke_decap(enc, private), info, psk, id, labels)) & set(right)
    try:
        reader.hpke_decap(bytes(32), private)
    except ValueError:
        return
    raise AssertionError("a point of small order was taken")


def unit_pages(suite):
    writer = Writer.__new__(Writer)
    writer.suite, key = suite, bytes(range(32))

    def opened(pages):
        return reader.open_blob(suite, "x", key, pages)

    for size in (0, 1, 4071, 4072, 4073, 4080, 8151, 8152, 8153):
        content = bytes(i % 251 for i in range(size))
        pages = writer.blob(key, content)
        equal(len(pages), 4096 * (-(-(8 + size) // 4080)))
        equal(opened(pages), content)
    refused("R-PAGES-1", lambda: opened(b""))
    refused("R-PAGES-1", lambda: opened(pages[:-1]))
    refused("R-SEAL-2", lambda: opened(pages[:-4096]))
    refused("R-SEAL-2", lambda: opened(pages[4096:8192] + pages[:4096] + pages[8192:]))
    refused("R-SEAL-2", lambda: opened(pages[:50] + bytes([pages[50] ^ 1]) + pages[51:]))

    def sealed(*pieces):
        return b"".join(writer.seal(key, le(i, 4) + le(int(i == len(pieces) - 1), 4) + bytes(4), b"", p)
                        for i, p in enumerate(pieces))

    equal(opened(sealed(le(1, 8) + b"a" + bytes(4071))), b"a")
    refused("R-PAGES-2", lambda: opened(sealed(le(1, 8) + b"ab" + bytes(4070))))
    refused("R-PAGES-2", lambda: opened(sealed(le(4073, 8) + bytes(4072))))
    refused("R-PAGES-2", lambda: opened(sealed(le(2 ** 64 - 1, 8) + bytes(4072))))
    refused("R-PAGES-2", lambda: opened(sealed(le(1, 8) + bytes(4072), bytes(4080))))


def unit_chunks():
    text = b"text " * 1000
    frame, member = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(text), gzip_member(text)
    streamed = zstandard.ZstdCompressor(level=3).compressobj()
    streamed = streamed.compress(text) + streamed.flush()                   # a frame without its content size
    for codec, packed in ((1, frame), (1, streamed), (2, member)):
        equal(reader.decompress("x", codec, packed, 5000), text)
        for bad, size in ((packed, 4999), (packed, 5001), (packed + b"\0", 5000), (packed + packed, 5000), (packed[:-1], 5000),
                          (packed[:3], 5000), (b"", 5000), (b"\x50\x2a\x4d\x18\0\0\0\0" + packed, 5000), (text, 5000)):
            refused("R-CHUNK-3", lambda: reader.decompress("x", codec, bad, size))
    refused("R-CHUNK-3", lambda: reader.decompress("x", 1, frame[:-1] + bytes([frame[-1] ^ 1]), 5000))
    for other in (zlib.compress(text), gzip.compress(text), gzip_member(text)[:-8] + le(0, 4) + le(5000, 4)):
        refused("R-CHUNK-3", lambda: reader.decompress("x", 2, other, 5000))
    wide = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=25)).compressobj()
    wide = wide.compress(text) + wide.flush()
    refused("R-CHUNK-3", lambda: reader.decompress("x", 1, wide, 5000))
    bomb = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1 << 26))
    refused("R-CHUNK-3", lambda: reader.decompress("x", 1, bomb, 5000))
    refused("R-CHUNK-3", lambda: reader.decompress("x", 2, gzip_member(bytes(1 << 26)), 5000))


def unit_text():
    repo = bytes(range(16))
    base = f'"repository":"{repo.hex()}","name":"n"'.encode()

    def load(raw, named=None):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "n"), "wb") as f:
                f.write(raw)
            found = reader.TextObject(reader.Store(folder), "n")
            found.check("k", "n", repo)
            found.verify(None)
            reader.check_members("n", found.body, named or {})
            return found.body

    def made(body, second=b"unsigned", end=b"\n"):
        two = body + end + second + end
        return two + b"blake3 " + blake3(two).hexdigest().encode() + end

    good = b'{"kind":"k",' + base + b',"t":"2026-11-22T18:44:18.123Z","other":1,"o":{"p":1}}'
    equal(load(made(good), {"t": reader.is_time})["o"], {"p": 1})
    raw = made(good)
    for bad in (raw[:-1], raw + b"\n", raw + b"x", raw[:-1] + b"\r\n", made(good, end=b"\r\n"), raw.replace(b"blake3 ", b"BLAKE3 "),
                raw[:-65] + raw[-65:].upper(), b"", b"\n\n\n", made(good, b"unsigned "), made(good, b"ed25519 00"),
                made(good.replace(b",", b",\n", 1)), made(good[:-1]), made(good + b" "), made(b"\xef\xbb\xbf" + good),
                made(good.replace(b"other", b"oth\xff")), made(b"[]"), made(good + good), made(good[:-1] + b',"x":"' + b"a" * 70000 + b'"}')):
        refused("R-TEXT-1", lambda: load(bad))
    refused("R-TEXT-2", lambda: load(raw.replace(b"18.123", b"18.124")))
    refused("R-TEXT-2", lambda: load(raw[:-2] + (b"0" if raw[-2:-1] != b"0" else b"1") + b"\n"))
    refused("R-TEXT-3", lambda: load(made(good, b"ed25519 " + b"0" * 128)))
    refused("R-TEXT-4", lambda: load(made(good.replace(b'"k"', b'"l"'))))
    refused("R-TEXT-4", lambda: load(made(good.replace(b'"n"', b'"m"'))))
    refused("R-TEXT-4", lambda: load(made(good.replace(b"0001", b"0002"))))
    for time in ("2026-02-29T00:00:00.000Z", "2026-11-22T24:00:00.000Z", "2026-11-22T18:44:60.000Z", "2026-11-22t18:44:18.123Z",
                 "2026-11-22T18:44:18Z", "2026-11-22T18:44:18.123+00:00", "2026-11-22T18:44:18.123Z\\n"):
        refused("R-TEXT-5", lambda: load(made(good.replace(b"2026-11-22T18:44:18.123Z", time.encode())), {"t": reader.is_time}))
    refused("R-TEXT-5", lambda: load(made(good[:-1] + b',"x":true}'), {"x": reader.is_count}))

    def value(text):
        return load(made(good[:-1] + b',"x":' + text + b"}"))["x"]

    for text in (b"18446744073709551615", b"0", b'"\\ud83d\\ude00"', b"[" * 31 + b"]" * 31, b'[{"a":1},{"a":2}]'):
        equal(value(text), json.loads(text))
    for text in (b"1.0", b"1e3", b"-1", b"-0", b"18446744073709551616", b"9" * 5000, b"NaN", b'"\\ud800"', b'["\\ude00"]', b'{"\\ud800":1}',
                 b"[" * 32 + b"]" * 32, b"[" * 30000 + b"]" * 30000, b'{"a":1,"a":1}', b'[{"a":{"k":1,"\\u006b":1}}]', b'1,"t":1'):
        refused("R-TEXT-6", lambda: value(text))
    assert reader.is_time("1970-01-01T00:00:00.000Z") and reader.is_time("9999-12-31T23:59:59.999Z")
    assert not reader.is_time("1969-12-31T23:59:59.999Z")
    assert reader.is_base64("AA==") and not any(map(reader.is_base64, ("AB==", "AA", "AA==\n", "A A=", "é", "AA==AAAA")))


def unit_code():
    for a in range(256):
        equal([reader.multiply(a, b) for b in range(256)], [slow_product(a, b) for b in range(256)])
    equal([slow_product(240 + i ^ c, reader.coefficient(i, c)) for i in range(16) for c in range(240)], [1] * 3840)
    shards, columns = (0, 3, 15), (0, 7, 239)
    turned = reader.inverse_matrix(shards, columns)
    for a, row in enumerate(turned):
        for b, column in enumerate(columns):
            total = 0
            for factor, i in zip(row, shards):
                total ^= slow_product(factor, reader.coefficient(i, column))
            equal(total, int(a == b))


def unit_block_sums():
    """BLAKE3 of a file of two blocks is the parent of their chaining values, as root."""
    rng = random.Random(SEED)
    for size in (1, 2, 63, 64, 65, 1023, 1024, 1025, 2048, 2049, 3 * 1024, 5 * 1024 + 7, 31 * 1024 + 1, 32767, 32768):
        data = rng.randbytes(32768 + size)
        both = [reader.chaining_value(0, data[:32768]), reader.chaining_value(1, data[32768:])]
        equal(struct.pack("<8I", *reader.parents(both, reader.PARENT | reader.ROOT)[0]), blake3(data).digest())
        equal(reader.block_sum(1, data[32768:]), struct.pack("<8I", *both[1])[:16])


def unit_nodes():
    def leaf(*sizes, level=0, count=None, head=None):
        return (head or bytes([1, level, 0, 0])) + le(len(sizes) if count is None else count, 4) + b"".join(
            bytes(32) + (le(*s) if isinstance(s, tuple) else le(s, 4)) for s in sizes)

    def inner(*entries, level=1):
        return bytes([1, level, 0, 0]) + le(len(entries), 4) + b"".join(bytes(32) + le(c, 8) + le(n, 8) for c, n in entries)

    def parse(node, root=False):
        return reader.parse_node("x", node, root)

    equal(parse(leaf(), True)[2], (0, 0))
    equal(parse(leaf(1, 16 << 20))[2], (2, 1 + (16 << 20)))
    equal(parse(inner((2, 9), (3, 1), level=48))[2], (5, 10))
    for bad in (b"", b"\1\0\0\0\0\0\0", leaf(1) + b"\0", leaf(1)[:-1], leaf(1, count=2), leaf(1, count=0), leaf(1, level=1),
                inner((1, 1), level=49), leaf(1, head=b"\2\0\0\0"), leaf(1, head=b"\1\0\1\0"), leaf(count=2 ** 32 - 1),
                leaf(*[1] * 29127)):
        refused("R-NODE-1", lambda: parse(bad))
    equal(len(parse(leaf(*[1] * 29126))[1]), 29126)
    for bad in (leaf(), leaf(0), leaf((16 << 20) + 1), inner(), inner((0, 1)), inner((2 ** 64 - 1, 1), (1, 1)), inner((1, 2 ** 63), (1, 2 ** 63))):
        refused("R-NODE-2", lambda: parse(bad, bool(len(bad) == 8 and bad[1])))


def unit_items():
    def check(*names):
        reader.check_names("x", names)

    check("a", "b/c", "b/d", "a b", "ü/…", "x" * 4096)
    check("a", "a b", "a!/b", "ab")
    for bad in ((), [str(i) for i in range(100001)], ("",), ("/a",), ("a/",), ("a//b",), ("./a",), ("a/..",), ("a", "a"), ("a", "a/b"), ("a/b/c", "a"), ("a", "a b", "a!", "a/b"), ("x" * 4097,),
                ("ü" * 2049,), ("a\n",), ("a\0",), ("\x7f",), ("\x85",)):
        refused("R-MANIFEST-2", lambda: check(*bad))


def unit_key_file():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "k")

        def load(raw):
            with open(path, "wb") as f:
                f.write(raw)
            return reader.read_key_file(path)

        good = key_file_text(bytes(range(32)))
        for end in (b"", b"\n", b"\r\n"):
            equal(load(good + end), bytes(range(32)))
        for bad in (good + b" ", good + b"\n\n", good.upper(), good[:-1], good[:-1] + (b"0" if good[-1:] != b"0" else b"1"), b" " + good, b""):
            refused("R-KEYFILE-1", lambda: load(bad))


def key_file_text(key):
    start = b"containerarchive-key-1 " + key.hex().encode()
    return start + b" " + blake3(start).hexdigest()[:16].encode()


# ---- --self: repositories of the small writer -----------------------------------------------------------------------

def contents(rng, big=40000):
    return {"empty": b"", "one": b"x", "text.sql": b"INSERT INTO t VALUES (1, 'abc');\n" * (big // 60), "zeros": bytes(big),
            "sub/noise.bin": rng.randbytes(big), "sub/deep/ü": "ü".encode() * 100}


def fresh(folder, name, **how):
    path = os.path.join(folder, name)
    return path, Writer(path, **how)


def hashes_of(items):
    return {name: sha256(data) for name, data in items.items()}


def self_round_trip(folder, how, key_path, idx):
    items = contents(random.Random(SEED))
    path, writer = fresh(folder, f"round-{len(how)}-{idx}", **how)
    session, _, first = writer.ingest(items, idx=idx)
    second, _, _ = writer.ingest({"a": b"1"}, idx=idx, previous=[{"id": session, "blake3": blake3(first).hexdigest()}])
    ways = [{"passphrase": how["passphrase"]}] if "passphrase" in how else [{}]
    ways += [{"key_file": key_path}] if "key" in how else []
    for way in ways:
        equal([s["id"] for s in listed(path, **way)], [session, second])
        assert session[:8].encode() in run_reader(path, "list", check=0, **way).stdout
        equal(restored(path, session, **way)[0], hashes_of(items))
        equal(restored(path, "latest", **way)[0], {"a": sha256(b"1")})
        equal(restored(path, session[:10], **way)[0], hashes_of(items))
    for name, data in items.items():
        equal(run_reader(path, "restore", session, "--item", name, "--to", "-", check=0, **ways[0]).stdout, data)
    assert run_reader(path, "restore", session, "--to", "-", check=1, **ways[0]).stdout == b""
    run_reader(path, "restore", "x", "--to", "-", check=1, **ways[0])
    run_reader(path, "restore", session, check=2)
    wrong = {"passphrase": "wrong"}
    assert run_reader(path, "list", check=1, **wrong).stdout == b""


def self_no_overwrite(folder):
    path, writer = fresh(folder, "overwrite")
    session, _, _ = writer.ingest({"a": b"1", "d/b": b"2"})
    out, outside = os.path.join(folder, "out"), os.path.join(folder, "outside")
    os.makedirs(out), os.makedirs(outside)
    os.symlink(outside, os.path.join(out, "d"))
    os.symlink(os.path.join(outside, "a"), os.path.join(out, "a"))
    run_reader(path, "restore", session, "--to", out, check=1)
    equal(os.listdir(outside), [])
    os.unlink(os.path.join(out, "a")), os.unlink(os.path.join(out, "d"))
    run_reader(path, "restore", session, "--to", out, check=0)
    run_reader(path, "restore", session, "--to", out, check=1)
    equal(tree(out), {"a": sha256(b"1"), "d/b": sha256(b"2")})


def self_domains(folder):
    path, writer = fresh(folder, "domains", passphrase="p")
    domain, items = os.urandom(16), {"w": b"of another domain" * 100}
    payload = domain + writer.secret(domain) + le(1, 2) + writer.public(domain) + writer.sign.public_key().public_bytes_raw()
    writer.slot("write", payload, passphrase="writer")
    main, _, _ = writer.ingest({"m": b"main"})
    other, _, _ = writer.ingest(items, domain=domain)
    equal(restored(path, other, passphrase="p")[0], hashes_of(items))
    equal(restored(path, main, passphrase="p")[0], {"m": sha256(b"main")})
    assert "write slot" in run_reader(path, "list", passphrase="writer", check=1).err


def self_void_and_records(folder):
    path, writer = fresh(folder, "void", passphrase="p")
    one, packs, _ = writer.ingest({"a": b"1"})
    two, _, data = writer.ingest({"a": b"2"})
    three, _, _ = writer.ingest({"a": b"3"}, previous=[{"id": two, "blake3": blake3(data).hexdigest()}])
    writer.text("retire", "records/retire/%s.json" % ("1" * 32), {"created": writer.now(), "packs": packs}, signed=True, replica=True)
    writer.text("void", f"snapshots/{one}.void", {"session": one, "created": writer.now()})     # not signed: hides nothing
    equal([s["id"] for s in listed(path, passphrase="p")], [one, two, three])
    equal(restored(path, one, passphrase="p")[0], {"a": sha256(b"1")})
    writer.text("void", f"snapshots/{two}.void", {"session": two, "created": writer.now()}, signed=True)
    equal([s["id"] for s in listed(path, passphrase="p")], [one, three])
    assert "R-SESSION-1" in restored_nothing(path, two, passphrase="p")
    for place in ("", "replicas/"):
        os.unlink(os.path.join(path, f"{place}snapshots/{two}.json"))
    equal([s["id"] for s in listed(path, passphrase="p")], [one, three])
    os.unlink(os.path.join(path, f"snapshots/{two}.void"))
    assert "R-MANIFEST-4" in run_reader(path, "list", passphrase="p", check=1).err
    writer.text("forget", "records/forget/%s.json" % ("2" * 32), {"created": writer.now(), "snapshots": [two]}, signed=True, replica=True)
    run_reader(path, "list", passphrase="p", check=0)


def restored_nothing(path, snapshot, **how):
    with tempfile.TemporaryDirectory() as folder:
        done = run_reader(path, "restore", snapshot, "--to", os.path.join(folder, "out"), check=1, **how)
        equal(tree(folder), {})
        return done.err


def self_wrong_sums(folder):
    path, writer = fresh(folder, "sums")

    def change(inner):
        inner["items"][0]["size"] += 1

    session, _, _ = writer.ingest({"a": b"1" * 5000, "b": b"2"}, change=change)
    found, done = restored(path, session, check=1)
    equal(found, {"b": sha256(b"2")})
    assert "R-MANIFEST-3" in done.err and f"snapshots/{session}.json" in done.err
    escape, _, _ = writer.ingest({"a": b"1"}, change=lambda inner: inner["items"][0].update(name="../a"))
    assert "R-MANIFEST-2" in restored_nothing(path, escape)


def self_second_copy(folder):
    """A chunk that stands in two packs is read from the other one when the first is damaged."""
    path, writer = fresh(folder, "twice", passphrase="p")
    items = {"a": random.Random(1).randbytes(3000)}
    one, packs, _ = writer.ingest(items, idx=False)
    writer.ingest(items, idx=False)
    for pack in packs:
        with open(os.path.join(path, f"packs/data/{pack[:2]}/{pack}.pack"), "r+b") as f:
            f.seek(200)
            f.write(bytes(20))
    found, _ = restored(path, one, passphrase="p")
    equal(found, hashes_of(items))


def self_links(folder):
    """A link in a pack's place is refused, and the second copy is read."""
    path, writer = fresh(folder, "links")
    one, packs, _ = writer.ingest({"a": b"1" * 1000})
    writer.ingest({"a": b"1" * 1000})
    for pack in packs:
        name = f"{path}/packs/data/{pack[:2]}/{pack}.pack"
        os.rename(name, f"{folder}/{pack}")
        os.symlink(f"{folder}/{pack}", name)
    found, done = restored(path, one)
    equal((found, done.err.count("is a link")), ({"a": sha256(b"1" * 1000)}, 2))


def self_unknown_version(folder):
    """An unknown version is no damage: no replica is asked."""
    path, writer = fresh(folder, "version")
    one, _, _ = writer.ingest({"a": b"1"}, change=lambda inner: inner.update(version=2))
    done = run_reader(path, "list", check=1)
    assert "version 2" in done.err and "replicas/" not in done.err, done.err


def self_slots(folder):
    path, writer = fresh(folder, "slots", passphrase="p")
    one, _, _ = writer.ingest({"a": b"1"})
    for i in range(31):
        writer.slot("admin", writer.root, key=bytes([i]) * 32)
    secret = os.path.join(folder, "secret")
    for end, code in ((b"", 0), (b"\n", 0), (b"\r\n", 0), (b"\n\n", 1), (b" ", 1)):
        with open(secret, "wb") as f:
            f.write(b"p" + end)
        run_reader(path, "list", "--passphrase-file", secret, check=code)
    assert "empty" in run_reader(path, "list", passphrase="", check=1).err
    assert "R-CONFIG-6" in run_reader(path, "list", check=1).err
    writer.slot("admin", writer.root, key=b"x" * 32)
    assert "R-SLOT-4" in run_reader(path, "list", passphrase="p", check=1).err


# ---- Damage ---------------------------------------------------------------------------------------------------------

def objects(path):
    found = []
    for at, _, names in os.walk(path):
        found += [os.path.relpath(os.path.join(at, name), path) for name in names]
    return sorted(found)


def check_damaged(path, names, wanted, how, seed, is_mended):
    """Exactly the right bytes, or an error that names a damaged object; for every snapshot. Packs in groups come back."""
    for session, files in wanted.items():
        found, done = restored(path, session, check=None, **how)
        for name, digest in found.items():
            equal((name, digest), (name, files.get(name)))
        if done.returncode == 0 or is_mended:
            equal((done.returncode, found), (0, files))
        else:
            equal(done.returncode, 1)
            assert any(name in done.err for name in names), f"seed {seed}: the error does not name {names}:\n{done.err}"


def damage(label, source, wanted, how, flips, seed=SEED):
    rng, cases = random.Random(seed), []
    has_parity = any(name.endswith(".par") for name in objects(source))

    def one(name, kind, change, names=None):
        def run():
            with tempfile.TemporaryDirectory() as folder:
                copy = os.path.join(folder, "r")
                shutil.copytree(source, copy)
                change(os.path.join(copy, name))
                check_damaged(copy, names or [name], wanted, how, seed, has_parity and name.endswith((".pack", ".par")))
        cases.append((f"damage, {label}: {name}: {kind}", run))

    def flip(offset, bit):
        def change(path):
            with open(path, "r+b") as f:
                f.seek(offset)
                byte = f.read(1)[0] ^ 1 << bit
                f.seek(offset)
                f.write(bytes([byte]))
        return change

    for name in objects(source):
        size = os.path.getsize(os.path.join(source, name))
        if name.startswith(("tmp/", "quarantine/", "reserve")) or size == 0:
            continue
        # a lost pack without a list of packs can only be named through its snapshot
        gone = [name] + ([f"snapshots/{s}.json" for s in wanted] if name.endswith(".pack") else [])
        for offset in sorted({rng.randrange(size) for _ in range(flips)}):
            bit = rng.randrange(8)
            one(name, f"bit {bit} of byte {offset} of {size} (seed {seed})", flip(offset, bit))
        length = rng.randrange(size)
        one(name, f"cut to {length} of {size} (seed {seed})", lambda p: os.truncate(p, length))
        one(name, "cut to 0", lambda p: os.truncate(p, 0))
        one(name, "deleted", os.unlink, gone)
    packs = [n for n in objects(source) if n.endswith(".pack")]
    if len(packs) > 1:
        a, b = rng.sample(packs, 2)

        def swap(path):
            other = os.path.join(path[:-len(a)], b)
            os.rename(path, path + "x")
            os.rename(other, path)
            os.rename(path + "x", other)
        one(a, f"swapped with {b} (seed {seed})", swap, [a, b])
    at_once(cases)


def change_file(path, name, *offsets):
    with open(os.path.join(path, name), "r+b") as f:
        for offset in offsets:
            f.seek(offset)
            byte = f.read(1)[0]
            f.seek(offset)
            f.write(bytes([byte ^ 0x10]))


def pack_name(pack):
    return f"packs/data/{pack[:2]}/{pack}.pack"


def self_parity(folder, label, how):
    """What is lost within the limits of a group comes back, and what is beyond them is told."""
    source, writer = fresh(folder, f"parity-{label}", **how)
    items = {"a": random.Random(SEED).randbytes(150000), "b": random.Random(SEED + 1).randbytes(60000)}
    session, packs, _ = writer.ingest(items, chunk=1024, fan=30, per_pack=70)
    sizes = [os.path.getsize(os.path.join(source, pack_name(pack))) for pack in packs]
    data, nodes = packs[:3], packs[3:]
    equal((len(nodes), min(sizes[:2]) > 2 * 32768), (1, True))
    shards = writer.parity(data, 2, first_rows={1: 1}) + writer.parity(nodes, 1, klass=2)
    nobody = writer.pack(1, bytes(16), os.urandom(16), [(1, os.urandom(32), b"of nobody", 0)])
    gone = writer.parity([nobody], 1)
    os.unlink(os.path.join(source, pack_name(nobody)))                      # a member that nothing refers to any more
    before = tree(source)

    def one(what, change, wanted=0, rebuilt=None):
        with tempfile.TemporaryDirectory() as place:
            path = os.path.join(place, "r")
            shutil.copytree(source, path)
            change(path)
            changed = tree(path)
            found, done = restored(path, session, check=wanted, **how)
            if wanted == 0:
                equal((what, found), (what, hashes_of(items)))
            assert all(items[name] and sha256(items[name]) == digest for name, digest in found.items()), what
            if rebuilt is not None:
                names = re.findall("packs/data/../([0-9a-f]{64})[.]pack: is missing or damaged; it was rebuilt", done.err)
                equal((what, len(set(names) - {nobody}), len(set(names))), (what, rebuilt, len(names)))
            equal(tree(path), changed)
            return done

    def delete(*names):
        return lambda path: [os.unlink(os.path.join(path, name)) for name in names]

    def flip(*places):
        return lambda path: [change_file(path, name, *offsets) for name, *offsets in places]

    def both(*changes):
        return lambda path: [change(path) for change in changes]

    a, b, c = map(pack_name, data)
    one("nothing", lambda path: None, rebuilt=0)
    for names in ((a,), (b,), (c,), (a, b), (b, c), (a, c), (pack_name(nodes[0]),), (a, b, pack_name(nodes[0]))):
        one(f"deleted {names}", delete(*names), rebuilt=len(names))
    one("one deleted, another damaged", both(delete(a), flip((c, 300))), rebuilt=2)
    one("cut short and empty", both(lambda p: os.truncate(os.path.join(p, a), 40000), lambda p: os.truncate(os.path.join(p, b), 0)), rebuilt=2)
    one("tables", flip((a, sizes[0] - 100), (b, 130), (pack_name(nodes[0]), sizes[3] - 100)), rebuilt=3)
    # More packs are damaged than there are shards, but no row has more damaged blocks. The second begins in row 1.
    one("scattered", flip((a, 300), (b, 400), (c, 500)), rebuilt=3)
    one("scattered, a shard in each row too", both(flip((a, 300, 33000)), flip((shards[0], 2 * 32768 // 2))), rebuilt=1)
    one("one pack and one shard", delete(b, shards[1]), rebuilt=1)
    one("the first front of each shard", both(delete(a), flip((shards[0], 120), (shards[1], 40))), rebuilt=1)
    one("the records of each shard, first place", both(delete(a), flip((b, 400), *((name, 112 + 48 * 3 + 32 + 5) for name in shards[:2]))), rebuilt=2)
    three = one("three deleted", delete(a, b, c), wanted=1, rebuilt=0)
    assert "lost" in three.err and session in three.err
    one("both shards and a pack", delete(a, *shards[:2]), wanted=1, rebuilt=0)
    row = one("three blocks of a row", flip((a, 33000), (b, 400), (c, 33000)), wanted=1)
    assert "lost" in row.err
    one("all shards", delete(*shards, *gone), rebuilt=0)
    one("shards that are links", both(delete(a), lambda p: (os.rename(f"{p}/{shards[0]}", f"{p}/x"), os.symlink(f"{p}/x", f"{p}/{shards[0]}"))), rebuilt=1)
    equal(tree(source), before)


def self_lying_shard(folder):
    """A shard that promises other bytes for a pack: they have another name, and are not used."""
    path, writer = fresh(folder, "lie")
    session, packs, _ = writer.ingest({"a": b"content" * 500})
    with open(os.path.join(path, pack_name(packs[0])), "r+b") as f:
        good = f.read()
        f.seek(300)
        f.write(b"another")
    writer.parity(packs[:1], 2)
    done = restored(path, session, check=1)[1]
    assert "lost" in done.err and "was rebuilt" not in done.err, done.err
    with open(os.path.join(path, pack_name(packs[0])), "wb") as f:
        f.write(good)
    equal(restored(path, session)[0], {"a": sha256(b"content" * 500)})


def self_damage(folder, label, how, writer_how):
    for idx in (True, False):
        path, writer = fresh(folder, f"damage-{label}-{idx}", **writer_how)
        items = {"a": random.Random(SEED).randbytes(1500), "d/b": b"text " * 300}
        session, _, _ = writer.ingest(items, idx=idx, per_pack=8)
        damage(f"{label}, {'with' if idx else 'without'} .idx", path, {session: hashes_of(items)}, how, 3 if idx else 1)


def run_self():
    case("KDF", unit_kdf)
    case("HPKE mode_psk: the vector of RFC 9180 A.1.2", unit_hpke_vector)
    case("HPKE mode_psk: round trip with a sender", unit_hpke_round_trip)
    case("pages, plain", lambda: unit_pages(0))
    case("pages, encrypted", lambda: unit_pages(1))
    case("codecs", unit_chunks)
    case("the code of parity", unit_code)
    case("checksums of blocks", unit_block_sums)
    case("text objects", unit_text)
    case("recipe nodes", unit_nodes)
    case("item names", unit_items)
    case("key files", unit_key_file)
    with tempfile.TemporaryDirectory() as folder:
        key, key_path = os.urandom(32), os.path.join(folder, "key")
        with open(key_path, "wb") as f:
            f.write(key_file_text(key) + b"\n")
        for how in ({}, {"passphrase": "p ü"}, {"passphrase": "p", "key": key}):
            for idx in (True, False):
                case(f"round trip: {sorted(how) or 'plain'}, {'with' if idx else 'without'} .idx",
                     lambda: self_round_trip(folder, how, key_path, idx))
        case("nothing is overwritten, no link is followed", lambda: self_no_overwrite(folder))
        case("another domain", lambda: self_domains(folder))
        case("voids, retire and forget records, previous", lambda: self_void_and_records(folder))
        case("wrong sums, escaping names", lambda: self_wrong_sums(folder))
        case("a second copy of a chunk", lambda: self_second_copy(folder))
        case("links in the place of packs", lambda: self_links(folder))
        case("an unknown version", lambda: self_unknown_version(folder))
        case("passphrases, and the number of slots", lambda: self_slots(folder))
        for how in ({}, {"passphrase": "p"}):
            case(f"parity: {'encrypted' if how else 'plain'}", lambda: self_parity(folder, len(how), how))
        case("a shard that lies", lambda: self_lying_shard(folder))
        self_damage(folder, "plain", {}, {})
        self_damage(folder, "encrypted", {"passphrase": "p"}, {"passphrase": "p"})


# ---- What restore.py does not read, from the document all the same --------------------------------------------------

def check(right, name, rule):
    if not right:
        raise reader.Refused(name, f"refused, {rule}")


def read_idx(repo, name, raw, pack):                                        # section 9
    check(len(raw) >= 296 + 32 + 4096 + 8 + 32 and blake3(raw[:-32]).digest() == raw[-32:] and raw[96:128].hex() == pack, name, "R-IDX-1")
    size, head, tail = reader.number(raw, 128, 8), raw[136:296], raw[296:-32]
    prefixes = [reader.check_prefix(name, p, kind, repo) for p, kind in ((raw[:96], reader.PACK_INDEX), (head[:96], reader.PACK))]
    check(raw[64:96] == bytes(32) and prefixes[0] == prefixes[1], name, "R-IDX-2")
    check(size <= 1 << 30 and reader.check_end(name, size, tail[-8:]) == len(tail) - 8, name, "R-PACK-1, R-PACK-4")
    domain, content = reader.table_content(repo, name, head, tail)
    return domain, list(reader.records(name, head[14], size - len(tail), content))


def pages_for(count, each):
    return -(-count // each)


def read_segment(repo, name, raw):                                          # section 10
    """The domain, the packs, the entries as (hash[0..8], ordinal, slot)."""
    domain = repo.domain(reader.check_prefix(name, raw[:96], reader.SEGMENT, repo)[1])
    key = domain.symmetric_key(name, b"index", raw[:96], raw[96:128])
    pieces = list(reader.open_pages(repo.suite, name, key, raw[128:]))
    n, (p, *first, total) = reader.number(pieces[0], 0, 8), (reader.number(pieces[0], 8 + 4 * i, 4) for i in range(6))
    wanted = [1]
    for pages in (pages_for(n, 255), pages_for(p, 85), pages_for(pages_for(n, 255), 510)):
        wanted.append(wanted[-1] + pages)
    check(p <= 1 << 26 and first == wanted and total == len(pieces) >= first[3] and not pieces[0][32:].strip(b"\0"), name, "R-SEGMENT-1")
    sections = [b"".join(pieces[a:b]) for a, b in zip(first, first[1:] + [total])]

    def rows(section, count, size):
        check(not section[count * size:].strip(b"\0"), name, "R-SEGMENT-1")
        return [section[i * size:(i + 1) * size] for i in range(count)]

    entries = [(row[:8], reader.number(row, 8, 4), reader.number(row, 12, 4)) for row in rows(sections[0], n, 16)]
    packs = rows(sections[1], p, 48)
    slots = [reader.number(row, 40, 4) for row in packs]
    ids = [row[:32] for row in packs]
    check(entries == sorted(set(entries)) and ids == sorted(set(ids)), name, "R-SEGMENT-2")
    check(all(row[44] in (1, 2) and row[45:] == bytes(3) for row in packs), name, "R-SEGMENT-2")
    check(all(o < p and slot < slots[o] for _, o, slot in entries), name, "R-SEGMENT-2")
    check(rows(sections[2], pages_for(n, 255), 8) == [e[0] for e in entries[::255]], name, "R-SEGMENT-3")
    filters, at = sections[3], 0
    for start in range(0, n, 262144):
        check(at + 24 <= len(filters), name, "R-SEGMENT-1")
        seed, (s, c, f) = reader.number(filters, at, 8), (reader.number(filters, at + 8 + 4 * i, 4) for i in range(3))
        prints, end = filters[at + 24:at + 24 + f], at + 24 + pages_for(f, 8) * 8
        check(end <= len(filters) and not filters[at + 20:at + 24].strip(b"\0"), name, "R-SEGMENT-1")
        check(f == s == c == 0 or s and s & (s - 1) == 0 and c >= s and c % s == 0 and f == c + 2 * s, name, "R-SEGMENT-4")
        check(not filters[at + 24 + f:end].strip(b"\0"), name, "R-SEGMENT-1")
        for key, _, _ in entries[start:start + 262144] if f else ():
            assert may_be_there(reader.number(key, 0, 8), seed, s, c, prints), "the filter does not have its own entries"
        at = end
    check(pages_for(at, 4080) == total - first[3] and not filters[at:].strip(b"\0"), name, "R-SEGMENT-1")
    return domain, packs, entries


def may_be_there(key, seed, s, c, prints):
    m = (1 << 64) - 1
    h = (key + seed) & m
    h = ((h ^ h >> 33) * 0xff51afd7ed558ccd) & m
    h = ((h ^ h >> 33) * 0xc4ceb9fe1a85ec53) & m
    h ^= h >> 33
    p0 = h * c >> 64
    return prints[p0] ^ prints[(p0 + s) ^ (h >> 18 & s - 1)] ^ prints[(p0 + 2 * s) ^ (h & s - 1)] == (h ^ h >> 32) & 255


def read_session(repo, name, session):                                      # section 13
    members = {"suite": reader.is_count, "domain": reader.is_hex(16), "salt": reader.is_hex(32), "commitment": reader.is_hex(32),
               "pages": reader.is_base64}
    body = repo.text(name, f"locks/{session}.json", "session", members, signed=False).body
    prefix = reader.prefix_of_text(name, body, reader.SESSION, session, repo)
    key = repo.domain(prefix[32:48]).symmetric_key(name, b"session", prefix, bytes.fromhex(body["commitment"]))
    inner = reader.parse_json(name, reader.open_blob(repo.suite, name, key, base64.b64decode(body["pages"])))
    reader.check_members(name, inner, {"operation": reader.is_text, "host": reader.is_text, "user": reader.is_text,
                                       "pid": reader.is_count, "started": reader.is_time})
    if "snapshots" in inner:
        reader.check_members(name, inner, {"snapshots": reader.is_list(reader.is_hex(16))})


def read_pin(repo, name, record):
    members = {"created": reader.is_time, "snapshot": reader.is_hex(16)}
    body = repo.text(name, f"records/pin/{record}.json", "pin", members, signed=True, limit=64 << 20).body
    check(body["snapshot"] == record, name, "R-RECORD-FILE-4")


def read_settings(repo, name, record):
    members = {"created": reader.is_time, "sequence": reader.is_count, "compression": reader.is_text,
               "packSizeBytes": reader.is_count, "parity": reader.is_text}
    body = repo.text(name, f"records/settings/{record}.json", "settings", members, signed=True, limit=64 << 20).body
    check(re.fullmatch("auto|none|zstd:([1-9]|1[0-9]|2[0-2]|-[1-7])|gzip:[1-9]", body["compression"])
          and 65536 <= body["packSizeBytes"] <= 268435456
          and re.fullmatch("off|([1-9]|[1-9][0-9]|1[0-9][0-9]|200)[+]([1-9]|1[0-6])", body["parity"]), name, "R-RECORD-FILE-2")


def read_verified(repo, name, record):
    def is_place(value):
        return reader.is_text(value) and re.fullmatch("[0-9a-f]{16}", value)

    members = {"created": reader.is_time, "level": lambda value: value in ("standard", "full"), "from": is_place,
               "to": is_place, "packs": reader.is_count, "damaged": reader.is_count}
    body = repo.text(name, f"records/verified/{record}.json", "verified", members, signed=True, limit=64 << 20).body
    check(body["from"] <= body["to"], name, "R-RECORD-FILE-3")


# ---- --kit: the cases of the format kit -----------------------------------------------------------------------------

KIT_RECORD = {"retire": ("packs", 32), "forget": ("snapshots", 16)}
KIT_SESSION, KIT_SLOT, KIT_ID = "5e" * 16, "51" * 16, "4e" * 16
KIT_ALSO = {
    "R-NAME-2": "R-TEXT-4",                     # the kit's README: that is where the name inside is compared
    # Such a leaf breaks both rules, and the document has it in R-NODE-2.
    "R-NODE-3/reject-empty-leaf-below-root.recipe": "R-NODE-2"}


def kit_repository(plain, folder):
    repo = reader.Repository.__new__(reader.Repository)
    repo.store, repo.domains, repo.verifier, repo.spent, repo.named = reader.Store(folder), {}, None, 0, {}
    repo.suite, repo.id = (0, b"\1" * 16) if plain else (1, b"\xe1" * 16)
    if not plain:
        repo.root = b"\x52" * 32
        repo.verifier = Ed25519PrivateKey.from_private_bytes(reader.kdf(repo.root, b"sign", b"", repo.id)).public_key()
    return repo


def kit_config(repo, name, raw):
    reader.read_config(repo.store, name).verify(repo.verifier)


def kit_slot(repo, name, raw, slot=KIT_SLOT):
    body = reader.TextObject(repo.store, name).body
    by_file = (body.get("kdf") or {}).get("algorithm") == "key-file"
    how = (None, b"\x4b" * 32) if by_file else (b"kit passphrase", None)
    if not reader.open_slot(repo, name, slot, *how):
        raise reader.Refused(name, "the passphrase or key opens no slot, R-SLOT-2")
    reader.slot_text(repo, name, slot, body, repo.root)


def kit_pack(repo, name, raw):
    pack = blake3(raw).hexdigest()
    os.makedirs(os.path.join(repo.store.path, "packs/data", pack[:2]))
    os.rename(os.path.join(repo.store.path, name), os.path.join(repo.store.path, f"packs/data/{pack[:2]}/{pack}.pack"))
    index = reader.Index(repo, repo.domain(bytes(16)))
    index.add(pack)
    rows = index.db.execute("SELECT pack, slot, start, record FROM chunk ORDER BY slot").fetchall()
    for row in rows:
        index.open(*row)
    index.key(name, raw[:160])                  # the commitment is there without a chunk, too
    return index, rows


def kit_recipe(repo, name, raw):
    index, rows = kit_pack(repo, name, raw)
    root = rows[-1][3][:32]
    for _ in reader.leaf_entries(index, root, reader.parse_node(name, index.chunk(2, root), True)[2][1]):
        pass


def kit_manifest(repo, name, raw):
    reader.read_manifest(repo, name, KIT_SESSION)


def kit_mark(kind, name):
    return lambda repo, place, raw: reader.read_mark(repo, KIT_SESSION, kind, name, place)


def kit_record(kind):
    return lambda repo, name, raw: reader.read_record(repo, name, kind, KIT_ID, *KIT_RECORD[kind])


def kit_record_of_row(repo, name, raw):
    with open(os.path.join(KIT, f"shard/R-SHARD-1/accept-{'' if repo.suite else 'plain-'}three-members.front"), "rb") as f:
        group = reader.parse_front(name, f.read(), repo)[1]
    reader.parse_record(name, group, 1, raw)


KIT_READ = {
    "front": lambda repo, name, raw: reader.parse_front(name, raw, repo), "record": kit_record_of_row,
    "end": lambda repo, name, raw: reader.parse_end(name, raw),
    "config": kit_config, "slot": kit_slot, "keyfile": lambda repo, name, raw: reader.read_key_file(os.path.join(repo.store.path, name)),
    "prefix": lambda repo, name, raw: reader.check_prefix(name, raw, reader.PACK, repo),
    "blob": lambda repo, name, raw: reader.open_blob(repo.suite, name, b"\xb1" * 32, raw),
    "pack": kit_pack, "recipe": kit_recipe, "node": lambda repo, name, raw: reader.parse_node(name, raw, True),
    "manifest": kit_manifest, "fence": kit_mark("fence", f"locks/{KIT_SESSION}.fence"),
    "void": kit_mark("void", f"snapshots/{KIT_SESSION}.void"), "retire": kit_record("retire"), "forget": kit_record("forget")}
# restore.py reads none of these; what reads them is above, built of its functions.
KIT_BESIDE = {
    "idx": lambda repo, name, raw: read_idx(repo, name, raw, KIT_PACK), "segment": read_segment,
    "session": lambda repo, name, raw: read_session(repo, name, KIT_SESSION),
    "pin": lambda repo, name, raw: read_pin(repo, name, KIT_ID),
    "settings": lambda repo, name, raw: read_settings(repo, name, KIT_ID),
    "verified": lambda repo, name, raw: read_verified(repo, name, KIT_ID)}


def kit_judge(kind, rule, path, name):
    """None when accepted, else what the refusal says."""
    with tempfile.TemporaryDirectory() as folder:
        repo = kit_repository(name.split("-", 1)[1].startswith("plain"), folder)
        try:
            if kind == "name":                  # a folder; in it one file, at its place
                shutil.copytree(path, folder, dirs_exist_ok=True)
                (place,) = objects(folder)
                own = os.path.basename(place).split(".")[0]
                if rule == "R-NAME-2":
                    kit_slot(repo, place, None, own)
                else:
                    with open(os.path.join(folder, place), "rb") as f:
                        check(blake3(f.read()).hexdigest() == own, place, rule)
            else:
                shutil.copy(path, os.path.join(folder, "x"))
                with open(path, "rb") as f:
                    (KIT_READ | KIT_BESIDE)[kind](repo, "x", f.read())
        except reader.Refused as e:
            return e.what


def run_kit(kit):
    global KIT, KIT_PACK
    KIT = kit
    with open(os.path.join(kit, "pack/R-PACK-3/accept-two-chunks.pack"), "rb") as f:
        KIT_PACK = blake3(f.read()).hexdigest()
    ran, beside = 0, {}
    for at, folders, names in sorted(os.walk(kit)):
        rule = os.path.basename(at)
        for name in sorted(folders + names) if re.fullmatch("R-[A-Z-]+-[0-9]+", rule) else ():
            kind = "name" if name in folders else name.rsplit(".", 1)[1]
            if kind in KIT_READ or rule == "R-NAME-2":
                ran += 1
            else:
                beside[kind] = beside.get(kind, 0) + 1
            case(f"kit: {rule}/{name}", lambda: kit_case(kind, rule, os.path.join(at, name), name))
    print(f"kit: {ran} cases of what restore.py reads; {sum(beside.values())} of what it does not read, judged in test.py: "
          + ", ".join(f"{n} {kind}" for kind, n in sorted(beside.items())), flush=True)


def kit_case(kind, rule, path, name):
    found = kit_judge(kind, rule, path, name)
    if name.startswith("accept-"):
        equal(found, None)
    else:
        allowed = {rule, KIT_ALSO.get(rule), KIT_ALSO.get(f"{rule}/{name}")}
        assert found is not None, "is accepted"
        assert allowed & set(re.findall("R-[A-Z-]+-[0-9]+", found)), f"refused for {found!r}"


# ---- Golden repositories --------------------------------------------------------------------------------------------

def golden_ways(base, entry):
    ways = []
    if entry.get("passphrase") is not None:
        ways.append({"passphrase": entry["passphrase"]})
    if entry.get("keyFile") is not None:
        ways.append({"key_file": os.path.join(base, entry["keyFile"])})
    return ways or [{}]


def golden_repository(base, entry):
    path = os.path.join(base, entry["path"])
    for way in golden_ways(base, entry):
        label = f"golden {entry['path']}, {'+'.join(way) or 'plain'}"

        def list_it():
            found = {s["id"]: {i["name"]: i["size"] for i in s["items"]} for s in listed(path, **way)}
            equal(found, {s["id"]: {i["name"]: i["size"] for i in s["items"]} for s in entry["snapshots"]})

        case(f"{label}: list", list_it)
        for snapshot in entry["snapshots"]:
            id, wanted = snapshot["id"], {i["name"]: i["sha256"] for i in snapshot["items"]}
            case(f"{label}: {id}: folder", lambda: equal(restored(path, id, **way)[0], wanted))
            for name in wanted:
                case(f"{label}: {id}: {name}", lambda: equal(
                    sha256(run_reader(path, "restore", id, "--item", name, "--to", "-", check=0, **way).stdout), wanted[name]))
    case(f"golden {entry['path']}: pack indexes and segments", lambda: golden_hints(path, golden_ways(base, entry)[-1]))
    case(f"golden {entry['path']}: parity shards", lambda: golden_parity(path, golden_ways(base, entry)[-1]))
    case(f"golden {entry['path']}: wrong passphrase",
         lambda: equal(run_reader(path, "list", "--json", passphrase="certainly wrong", check=1).stdout, b""))


def golden_open(path, way):
    key = way.get("key_file") and reader.read_key_file(way["key_file"])
    return reader.Repository(reader.Store(path), way["passphrase"].encode() if "passphrase" in way else None, key)


def golden_parity(path, way):
    """Every byte of every shard follows from its packs as the document says, and every pack is in a group."""
    repo, seen, m = golden_open(path, way), set(), 0
    tables = {}
    for shard in repo.store.ids("packs/parity", "([0-9a-f]{64})[.]par"):
        name = f"packs/parity/{shard}.par"
        raw = repo.store.read(name, 1 << 30, "")
        i, group = reader.parse_front(name, raw, repo)
        m, front = max(m, group.m), raw[:group.front]
        equal((blake3(raw).hexdigest(), len(raw)), (shard, group.size()))
        equal((raw[-8 - len(front):-8], reader.parse_end(name, raw[-8:])), (front, len(front)))
        packs = [repo.store.read(pack_name(pack), 1 << 30, "") for pack, _, _, _ in group.members]
        equal([len(pack) for pack in packs], [member[1] for member in group.members])
        seen.update(member[0] for member in group.members)
        for row in range(group.rows):
            both = [raw[at:at + group.record] for at in group.records(row)]
            equal(both[0], both[1])
            sums, shard_sums = reader.parse_record(name, group, row, both[0])
            start, size = group.row(row), group.row_size(row)
            own, total = raw[start:start + size], 0
            equal(reader.block_sum(row, own), shard_sums[i])
            for pack, member, sum in zip(packs, group.members, sums):
                first, column = member[2:]
                block = pack[(row - first) * 32768:(row - first + 1) * 32768] if row >= first else b""
                equal(sum, reader.block_sum(row - first, block) if block else None)
                if (i, column) not in tables:
                    factor = slow_inverse(240 + i ^ column)
                    tables[i, column] = bytes(slow_product(factor, value) for value in range(256))
                total ^= int.from_bytes(block.translate(tables[i, column]), "little")
            equal(own, total.to_bytes(size, "little"))
    equal((seen, m), (set(repo.store.packs()), 2))
    groups = {id(group): group for groups in reader.Parity(repo).groups_of.values() for group in groups}
    equal([sorted(group.shards) for group in groups.values()], [list(range(group.m)) for group in groups.values()])


def golden_hints(path, way):
    """Pack indexes and segments say the same as the packs; settings obey their rules."""
    repo = golden_open(path, way)
    chunks, seen = {}, set()
    for pack in repo.store.packs():
        name = f"packs/data/{pack[:2]}/{pack}.pack"
        head, t, tail = reader.read_table(repo.store, name)
        domain, content = reader.table_content(repo, name, head, tail)
        found = list(reader.records(name, head[14], t, content))
        chunks[pack] = domain, t + len(tail), head[14], len(content) // 48, {(record[:8], slot) for slot, _, record in found}
        if repo.store.exists(name[:-4] + "idx"):
            equal(read_idx(repo, name, repo.store.read(name[:-4] + "idx", 1 << 26, ""), pack), (domain, found))
    for segment in repo.store.ids("index", "([0-9a-f]{64})[.]seg"):
        raw = repo.store.read(f"index/{segment}.seg", 1 << 30, "")
        equal(blake3(raw).hexdigest(), segment)
        domain, packs, entries = read_segment(repo, segment, raw)
        for ordinal, row in enumerate(packs):
            size, count, klass = reader.number(row, 32, 8), reader.number(row, 40, 4), row[44]
            equal((domain, size, klass, count, {(h, slot) for h, o, slot in entries if o == ordinal}), chunks[row[:32].hex()])
            seen.add(row[:32].hex())
    equal(seen, set(chunks))
    for record in repo.store.ids("records/settings", "([0-9a-f]{32})[.]json", replicas=True):
        read_settings(repo, f"records/settings/{record}.json", record)
    for record in repo.store.ids("records/verified", "([0-9a-f]{32})[.]json", replicas=True):
        read_verified(repo, f"records/verified/{record}.json", record)


def run_golden(golden):
    base = os.path.join(golden, "v1")
    expected = []

    def load():
        with open(os.path.join(base, "expected.json"), encoding="utf-8") as f:
            expected.extend(json.load(f)["repositories"])
        assert expected, "there are no golden repositories"

    case("golden: expected.json", load)
    for entry in expected:
        golden_repository(base, entry)
    for entry in expected:
        wanted = {s["id"]: {i["name"]: i["sha256"] for i in s["items"]} for s in entry["snapshots"]}
        size = sum(os.path.getsize(os.path.join(base, entry["path"], n)) for n in objects(os.path.join(base, entry["path"])))
        if size <= 4 << 20:
            damage(f"golden {entry['path']}", os.path.join(base, entry["path"]), wanted, golden_ways(base, entry)[-1], 2)


# ---- Fresh repositories ---------------------------------------------------------------------------------------------

class Program:
    def __init__(self, binary, folder):
        self.binary, self.folder = os.path.abspath(binary), folder

    def run(self, repository, *args, passphrase=None, stdin=b"", **env):
        base = {k: v for k, v in os.environ.items() if not k.startswith("CONTAINERARCHIVE_")}
        base |= env | {"CONTAINERARCHIVE_STATE_DIR": os.path.join(self.folder, "state")}
        if passphrase is not None:
            base["CONTAINERARCHIVE_PASSPHRASE"] = passphrase
        done = subprocess.run([self.binary, "--repo", repository, *args], env=base, input=stdin, capture_output=True, timeout=600)
        assert done.returncode == 0, f"{args} exits with {done.returncode}:\n{done.stderr.decode(errors='replace')}"
        return done.stdout


def fresh_contents(rng):
    return contents(rng, 3 << 20) | {"a.sql": b"SELECT %d;\n" * 1000, "sub/b.bin": rng.randbytes(70000)}


def fresh_ingest(program, path, items, passphrase):
    args = ["ingest"]
    for i, (name, data) in enumerate(items.items()):
        source = os.path.join(program.folder, f"source-{i}")
        with open(source, "wb") as f:
            f.write(data)
        args += ["--item", f"{name}={source}"]
    program.run(path, *args, passphrase=passphrase)


def newest(path, how):
    return listed(path, **how)[-1]["id"]


def fresh_repository(program, label, encrypted, options):
    passphrase = "correct horse" if encrypted else None
    how = {"passphrase": passphrase} if encrypted else {}
    path = os.path.join(program.folder, label.replace(" ", "-").replace(":", "-"))
    program.run(path, "init", *([] if encrypted else ["--no-encryption"]), *options, passphrase=passphrase)
    items = fresh_contents(random.Random(SEED))
    fresh_ingest(program, path, items, passphrase)
    first = newest(path, how)
    stream = random.Random(SEED + 1).randbytes(500000) + bytes(500000)
    program.run(path, "ingest", "--name", "x", "-", passphrase=passphrase, stdin=stream)
    equal(restored(path, "latest", **how)[0], {"x": sha256(stream)})
    equal(restored(path, first, **how)[0], hashes_of(items))
    for name, data in items.items():
        equal(sha256(run_reader(path, "restore", first, "--item", name, "--to", "-", check=0, **how).stdout), sha256(data))


def fresh_write_slot(program):
    path, items = os.path.join(program.folder, "write-slot"), {"w": b"written with a write slot\n" * 5000}
    program.run(path, "init", passphrase="admin")
    fresh_ingest(program, path, {"m": b"main"}, "admin")
    program.run(path, "key", "add", "--capability", "write", passphrase="admin", CONTAINERARCHIVE_NEW_PASSPHRASE="writer")
    fresh_ingest(program, path, items, "writer")
    found = listed(path, passphrase="admin")
    equal(len({s["domain"] for s in found}), 2)
    equal(restored(path, "latest", passphrase="admin")[0], hashes_of(items))
    run_reader(path, "list", passphrase="writer", check=1)


def fresh_other_way(program, encrypted):
    """The program restores what the small writer wrote, and sees the same snapshots when some are removed or damaged."""
    how = {"passphrase": "p"} if encrypted else {}
    path = os.path.join(program.folder, f"other-way-{encrypted}")
    writer, items = Writer(path, **how), contents(random.Random(SEED))
    made = [writer.ingest(items if i == 0 else {"a": b"%d" % i}) for i in range(6)]
    ids = [session for session, _, _ in made]

    def both():
        out = tempfile.mkdtemp(dir=program.folder)
        program.run(path, "restore", ids[0], "--to", out + "/out", **how)
        equal(tree(out + "/out"), hashes_of(items))
        found = json.loads(program.run(path, "snapshots", "--json", **how))
        found = re.findall('"id": ?"([0-9a-f]{32})"', json.dumps(found))
        equal(sorted(s["id"] for s in listed(path, **how)), sorted(set(found) & set(ids)))
        return sorted(set(found) & set(ids))

    equal(both(), sorted(ids))
    for session in ids[1:4]:                    # only their replicas are there
        os.unlink(os.path.join(path, f"snapshots/{session}.json"))
    equal(both(), sorted(ids))
    # A fence alone hides nothing: a replica is written after it was looked for.
    writer.text("fence", f"locks/{ids[1]}.fence", {"session": ids[1], "created": writer.now()}, signed=True)
    writer.text("forget", "records/forget/%s.json" % ("2" * 32), {"created": writer.now(), "snapshots": [ids[2]]}, signed=True, replica=True)
    writer.text("void", f"snapshots/{ids[4]}.void", {"session": ids[4], "created": writer.now()}, signed=True)
    writer.text("void", f"snapshots/{ids[5]}.void", {"session": ids[4], "created": writer.now()}, signed=True)     # says another session
    equal(both(), sorted([ids[0], ids[1], ids[3], ids[5]]))


MEASURE = """import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""


def fresh_large(program, encrypted, size=300 << 20):
    """Half noise, half text that hardly repeats, with the usual sizes: what restore.py takes of memory."""
    path, passphrase = os.path.join(program.folder, f"large-{encrypted}"), "p" if encrypted else None
    source, out = os.path.join(program.folder, "large-source"), os.path.join(program.folder, "large-out")
    rng, found = random.Random(SEED), hashlib.sha256()
    with open(source, "wb") as f:
        for i in range(size // (4 << 20)):
            piece = rng.randbytes(2 << 20)
            piece += base64.b16encode(piece[:1 << 20])
            found.update(piece)
            f.write(piece)
    program.run(path, "init", *([] if encrypted else ["--no-encryption"]), passphrase=passphrase)
    program.run(path, "ingest", "--item", f"large={source}", passphrase=passphrase)
    env = dict(os.environ) | ({"CONTAINERARCHIVE_PASSPHRASE": "p"} if encrypted else {})
    done = subprocess.run([sys.executable, "-c", MEASURE, sys.executable, os.path.join(HERE, "restore.py"), path, "restore", "latest",
                           "--to", out], env=env, capture_output=True, timeout=600)
    code, memory = map(int, done.stdout.split())
    equal((code, tree(out)), (0, {"large": found.hexdigest()}))
    print(f"      {memory >> 10} MiB of memory", flush=True)
    assert memory < 150 << 10, f"{memory >> 10} MiB of memory"
    for place in (path, out):
        shutil.rmtree(place)
    os.unlink(source)


def run_fresh(binary):
    case("fresh: the program is there", lambda: equal(os.access(binary, os.X_OK) and os.path.isfile(binary), True))
    if not os.path.isfile(binary):
        return
    with tempfile.TemporaryDirectory() as folder:
        program = Program(binary, folder)
        for encrypted in (False, True):
            for compression in ("auto", "gzip:6", "zstd:3", "none"):
                for more in ([], ["--chunk-size", "64,256,1024", "--pack-size", "65536"]):
                    label = f"{'encrypted' if encrypted else 'plain'} {compression} {'small' if more else 'usual'}"
                    case(f"fresh: {label}", lambda: fresh_repository(program, label, encrypted, ["--compression", compression, *more]))
        for encrypted in (False, True):
            case(f"fresh: 300 MiB, {'encrypted' if encrypted else 'plain'}", lambda: fresh_large(program, encrypted))
        for encrypted in (False, True):
            case(f"fresh: the program reads the small writer's, {'encrypted' if encrypted else 'plain'}",
                 lambda: fresh_other_way(program, encrypted))
        case("fresh: a write slot's snapshot in another domain", lambda: fresh_write_slot(program))
        for encrypted in (False, True):
            case(f"fresh: lost packs come back from parity, {'encrypted' if encrypted else 'plain'}", lambda: fresh_parity(program, encrypted))
        for encrypted in (False, True):
            fresh_damage(program, encrypted)


def fresh_parity(program, encrypted):
    """Packs of the usual and of the smallest size: two of each group are lost, and then some bytes of all of them."""
    how = {"passphrase": "p"} if encrypted else {}
    stream = random.Random(SEED).randbytes(6 << 20)
    for size, level in (("65536", "8+2"), ("1MiB", "40+2")):
        source = os.path.join(program.folder, f"parity-{encrypted}-{size}")
        program.run(source, "init", *([] if encrypted else ["--no-encryption"]), "--pack-size", size, "--parity", level, **how)
        program.run(source, "ingest", "--name", "x", "-", stdin=stream, **how)
        parity = reader.Parity(golden_open(source, how))
        groups = list({id(group): group for groups in parity.groups_of.values() for group in groups}.values())
        assert len(groups) >= 2, len(groups)
        lost = [pack_name(pack) for group in groups for pack, *_ in group.members[:group.m]]

        def delete(path):
            for name in lost:
                os.unlink(os.path.join(path, name))

        def scatter(path):
            for group in groups:
                for at, (pack, length, _, _) in enumerate(group.members):
                    block = at // group.m
                    if block * 32768 + 1000 < length:
                        change_file(path, pack_name(pack), block * 32768 + 1000)

        for change in (delete, scatter):
            copy = source + "-" + change.__name__
            shutil.copytree(source, copy)
            change(copy)
            equal(restored(copy, "latest", **how)[0], {"x": sha256(stream)})
            shutil.rmtree(copy)


def fresh_damage(program, encrypted):
    path, passphrase = os.path.join(program.folder, f"damage-{encrypted}"), "p" if encrypted else None
    how, wanted, label = {"passphrase": "p"} if encrypted else {}, {}, f"fresh {'encrypted' if encrypted else 'plain'}"
    items = {"a": random.Random(SEED).randbytes(3000), "d/b": b"text " * 300}

    def make():
        program.run(path, "init", *([] if encrypted else ["--no-encryption"]), "--chunk-size", "64,256,1024", passphrase=passphrase)
        fresh_ingest(program, path, items, passphrase)
        wanted[newest(path, how)] = hashes_of(items)

    case(f"{label}: made for damage", make)
    if wanted:
        damage(label, path, wanted, how, 2)


def main():
    parser = argparse.ArgumentParser(description="Tests of restore.py.")
    parser.add_argument("--self", action="store_true", dest="units", help="only what needs no other files")
    parser.add_argument("--binary", help="the program, for fresh repositories")
    parser.add_argument("--golden", help="the folder of the golden repositories")
    parser.add_argument("--kit", help="the folder of the format kit; usual: kit beside the golden folder, where there is one")
    args = parser.parse_args()
    beside = args.golden and os.path.join(os.path.dirname(os.path.abspath(args.golden)), "kit")
    kit = args.kit or (beside if beside and os.path.isdir(beside) else None)
    print(f"seed {SEED}")
    run_self()
    if not args.units:
        for run, what in ((run_kit, kit), (run_golden, args.golden), (run_fresh, args.binary)):
            if what is not None:
                run(what)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
