#!/usr/bin/env python3
"""An independent reader of the backup repository format, version 1 (docs/FORMAT.md).

    restore.py REPO list [--json]
    restore.py REPO restore SNAPSHOT [--item NAME] (--to DIR | --to -)

It only reads the repository. A pack that is missing or damaged is rebuilt from its parity group, in a temporary file,
when a chunk is not found otherwise. The parts stand in the order of the document; the numbers in the
headings are its sections, and R-... its rules. Exit code: 0 done, 1 something was refused, 2 usage.
"""
import argparse, base64, binascii, contextlib, datetime, errno, functools, hashlib, hmac, io, json, os, re, secrets, sqlite3
import stat, struct, sys, tempfile, zlib

import argon2.exceptions
import argon2.low_level
import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

class Refused(Exception):
    """An object breaks a rule, or cannot be read. `name` is the object, `what` ends with the rule."""

    def __init__(self, name, what):
        super().__init__(name, what)
        self.name, self.what = name, what

class Final(Refused):
    """Nothing is broken, so no replica is asked: an unknown version or feature, a wrong or missing key. R-REPLICA-1"""

def say(name, what):
    line = f"restore.py: {name}: {what}"
    print("".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in line), file=sys.stderr, flush=True)


# ---- 1. Conventions -------------------------------------------------------------------------------------------------

def number(data, start, size):
    return int.from_bytes(data[start:start + size], "little")

def le(value, size):
    return value.to_bytes(size, "little")

def is_a(kind):
    return lambda v: type(v) is kind

is_text, is_count, is_object, is_bool = map(is_a, (str, int, dict, bool))     # R-TEXT-6 sees to the numbers

def is_time(v):
    if not isinstance(v, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", v):
        return False
    try:
        return datetime.datetime.fromisoformat(v[:23]).year >= 1970         # there is no second 60 for Python
    except ValueError:
        return False

def is_hex(size=None):
    digits = re.compile("(?:[0-9a-f]{2})*" if size is None else f"[0-9a-f]{{{2 * size}}}")
    return lambda v: isinstance(v, str) and digits.fullmatch(v) is not None

def is_base64(v):
    try:
        return isinstance(v, str) and base64.b64encode(binascii.a2b_base64(v)).decode() == v
    except ValueError:
        return False

def is_list(check):
    return lambda v: isinstance(v, list) and all(map(check, v))


# ---- 2. Names -------------------------------------------------------------------------------------------------------

class Store:
    """The folder of a repository. Everything that comes out of it is hostile until a rule has passed it."""

    def __init__(self, path):
        self.path, self.instead = path, {}      # packs that were rebuilt: name → temporary file

    @contextlib.contextmanager
    def open(self, name):
        """A descriptor and the size. Links and all that is not a plain file are refused (a FIFO would block)."""
        if name in self.instead:
            file = self.instead[name]
            yield file.fileno(), os.fstat(file.fileno()).st_size
            return
        try:
            fd = os.open(os.path.join(self.path, name), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError as e:
            raise Refused(name, "missing" if isinstance(e, FileNotFoundError) else "is a link" if e.errno == errno.ELOOP
                          else f"cannot be opened: {e.strerror}")
        try:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode):
                raise Refused(name, "is not a regular file")
            yield fd, info.st_size
        finally:
            os.close(fd)

    def part(self, name, fd, offset, size):
        try:
            pieces, got = [], 0
            while got < size and (piece := os.pread(fd, size - got, offset + got)):
                pieces.append(piece)
                got += len(piece)
        except OSError as e:
            raise Refused(name, f"cannot be read: {e.strerror}")
        if got != size:
            raise Refused(name, f"ends before byte {offset + size}")
        return b"".join(pieces)

    def read(self, name, limit, rule):
        with self.open(name) as (fd, size):
            if size > limit:
                raise Refused(name, f"is {size} bytes long, more than {limit}, {rule}")
            return self.part(name, fd, 0, size)

    def exists(self, name):
        return os.path.lexists(os.path.join(self.path, name))

    def ids(self, folder, pattern, replicas=False):
        """The ids of the files in a folder whose whole names match; with replicas also of those that only have one."""
        found = set()
        for place in (folder, "replicas/" + folder) if replicas else (folder,):
            try:
                with os.scandir(os.path.join(self.path, place)) as entries:
                    found.update(m[1] for e in entries if (m := re.fullmatch(pattern, e.name)))
            except (FileNotFoundError, NotADirectoryError):
                pass
            except OSError as e:
                say(place, f"cannot be listed: {e.strerror}")
        return sorted(found)

    def packs(self):
        for aa in self.ids("packs/data", "([0-9a-f]{2})"):
            yield from self.ids(f"packs/data/{aa}", f"({aa}[0-9a-f]{{62}})[.]pack")

    def copies(self, name, load):
        """load(place) of the object or, when it is missing or breaks a rule, of its replica. R-REPLICA-1"""
        try:
            return load(name)
        except Final:
            raise
        except Refused as first:
            if not self.exists("replicas/" + name):
                raise
            say(first.name, first.what)
            result = load("replicas/" + name)
            say("replicas/" + name, "is used instead of the original, R-REPLICA-1")
            return result


# ---- 3. Keys --------------------------------------------------------------------------------------------------------

def kdf(key, label, context, repository, size=32):
    info = b"containerarchive/1 " + label + b"\0" + context
    return HKDF(hashes.SHA256(), size, salt=repository, info=info).derive(key)

PREFIX_MAGIC = bytes.fromhex("894341520d0a1a0a")
PACK, PACK_INDEX, SEGMENT, SHARD, SESSION, MANIFEST = 1, 2, 3, 4, 5, 6

def check_prefix(name, prefix, kind, repo):
    """R-PREFIX-1, R-PREFIX-2; returns class, domain and session."""
    if len(prefix) != 96 or prefix[:8] != PREFIX_MAGIC:
        raise Refused(name, "wrong magic, R-PREFIX-1")
    if number(prefix, 8, 2) != 1:
        raise Final(name, f"has the format version {number(prefix, 8, 2)}, this reader knows 1, R-PREFIX-1")
    if (number(prefix, 10, 2), number(prefix, 12, 2), prefix[16:32]) != (kind, repo.suite, repo.id):
        raise Refused(name, "wrong object kind, suite or repository, R-PREFIX-1")
    if prefix[14] not in ((1, 2) if kind in (PACK, PACK_INDEX, SHARD) else (0,)) or prefix[15]:
        raise Refused(name, "wrong class or reserved byte, R-PREFIX-1")
    if repo.suite == 0 and prefix[32:48] != bytes(16):
        raise Refused(name, "a plain repository has only the main domain, R-PREFIX-2")
    return prefix[14], prefix[32:48], prefix[48:64]

def prefix_of_text(name, body, kind, session, repo):
    """The prefix of a JSON object, put together from its members and checked."""
    if body["suite"] != repo.suite:
        raise Refused(name, "has another suite than the repository, R-PREFIX-1")
    prefix = (PREFIX_MAGIC + le(1, 2) + le(kind, 2) + le(repo.suite, 2) + b"\0\0" + repo.id + bytes.fromhex(body["domain"])
              + bytes.fromhex(session) + bytes.fromhex(body["salt"]))
    check_prefix(name, prefix, kind, repo)
    return prefix

# HPKE, RFC 9180: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, export-only, mode_psk.

KEM_SUITE, EXPORT_ONLY = b"KEM\0\x20", b"HPKE\0\x20\0\x01\xff\xff"

def labeled_extract(suite, salt, label, ikm):
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")

def labeled_expand(suite, prk, label, info):            # 32 bytes, one block of HKDF-Expand, are all that this format needs
    return hmac.digest(prk, b"\0\x20HPKE-v1" + suite + label + info + b"\x01", "sha256")

def hpke_key_pair(ikm):                                                     # RFC 9180, 7.1.3
    prk = labeled_extract(KEM_SUITE, b"", b"dkp_prk", ikm)
    return X25519PrivateKey.from_private_bytes(labeled_expand(KEM_SUITE, prk, b"sk", b""))

def hpke_decap(enc, private):                                               # RFC 9180, 4.1
    dh = private.exchange(X25519PublicKey.from_public_bytes(enc))           # ValueError when it is all zeros
    prk = labeled_extract(KEM_SUITE, b"", b"eae_prk", dh)
    return labeled_expand(KEM_SUITE, prk, b"shared_secret", enc + private.public_key().public_bytes_raw())

def hpke_psk_export(shared_secret, info, psk, psk_id, labels, suite=EXPORT_ONLY):
    """RFC 9180, 5.1 with mode 0x01, and 5.3 for each label."""
    context = (b"\x01" + labeled_extract(suite, b"", b"psk_id_hash", psk_id)
               + labeled_extract(suite, b"", b"info_hash", info))
    exporter = labeled_expand(suite, labeled_extract(suite, shared_secret, b"secret", psk), b"exp", context)
    return [labeled_expand(suite, exporter, b"sec", label) for label in labels]

class Domain:
    """The secrets of one domain."""

    def __init__(self, repo, id):
        self.repo, self.id = repo, id
        if repo.suite == 0:
            self.secret = bytes(32)
        else:
            self.secret = kdf(repo.root, b"domain", id, repo.id)
            self.private = hpke_key_pair(kdf(repo.root, b"hpke", id + le(repo.suite, 2), repo.id))
        self.chunk_id, self.psk = self.kdf(b"chunk-id"), self.kdf(b"psk")

    def kdf(self, label, context=b"", size=32):
        return kdf(self.secret, label, context, self.repo.id, size)

    def symmetric_key(self, name, purpose, context, commitment):            # 3.1: tables, segments, sessions
        both = kdf(self.kdf(purpose), b"object", context, self.repo.id, 64)
        return committed(name, both[:32], both[32:], commitment)

    def object_key(self, name, label, prefix, enc, commitment):             # 3.1, HPKE or plain: packs, manifests
        if self.repo.suite == 0:
            if enc != bytes(32):
                raise Refused(name, "enc is not zero in a plain repository, R-PREFIX-2")
            both = self.kdf(label, prefix, 64)
            return committed(name, both[:32], both[32:], commitment)
        try:
            shared_secret = hpke_decap(enc, self.private)
        except ValueError:
            raise Refused(name, "enc is a point of small order, R-SEAL-1")
        return committed(name, *hpke_psk_export(shared_secret, prefix, self.psk, self.id, (b"key", b"commitment")), commitment)

def committed(name, key, expected, found):
    if not hmac.compare_digest(expected, found):
        raise Refused(name, "the commitment differs: damaged, or of another key, R-SEAL-1")
    return key

def unseal(suite, name, key, nonce, aad, sealed):
    if suite == 1:
        try:
            return AESGCM(key).decrypt(nonce, sealed, aad)
        except (InvalidTag, ValueError):
            raise Refused(name, "wrong tag, R-SEAL-2")
    text, tag = sealed[:-16], sealed[-16:]
    mac = blake3(nonce + le(len(aad), 4) + aad + text, key=key).digest()[:16]
    if len(sealed) < 16 or not hmac.compare_digest(mac, tag):
        raise Refused(name, "wrong tag, R-SEAL-2")
    return text

PAGE, PIECE = 4096, 4080

def open_pages(suite, name, key, pages):
    count, rest = divmod(len(pages), PAGE)
    if rest or not count:
        raise Refused(name, "the pages are not a whole number of 4,096 bytes, R-PAGES-1")
    for i in range(count):
        nonce = le(i, 4) + le(int(i == count - 1), 4) + bytes(4)
        yield unseal(suite, name, key, nonce, b"", pages[i * PAGE:(i + 1) * PAGE])

def open_blob(suite, name, key, pages):
    content = b"".join(open_pages(suite, name, key, pages))
    size = number(content, 0, 8)
    if PIECE * -(-(8 + size) // PIECE) != len(content) or content[8 + size:].strip(b"\0"):
        raise Refused(name, "the length does not fit the pages, or bytes behind it are not zero, R-PAGES-2")
    return content[8:8 + size]


# ---- 4. Chunks ------------------------------------------------------------------------------------------------------

PADDING, DATA, RECIPE = 0, 1, 2
MAX_CHUNK, MAX_WINDOW, MAX_NODE = 16 * MIB, 1 << 24, MIB

def chunk_hash(domain, kind, text):                                         # R-CHUNK-1
    if domain.repo.suite == 0:
        return hashlib.sha256(text).digest()
    return hmac.digest(domain.chunk_id, bytes([kind]) + text, "sha256")

def decompress(name, codec, text, size):                                    # R-CHUNK-3
    try:
        plain = (lambda t, n: t, unzstd, ungzip)[codec](text, size)
    except (zlib.error, zstandard.ZstdError, ValueError, IndexError) as e:
        raise Refused(name, f"a chunk does not decompress ({e}), R-CHUNK-3")
    if len(plain) != size:
        raise Refused(name, "a chunk decompresses to another length, R-CHUNK-3")
    return plain

def ungzip(text, size):
    if text[:10] != bytes.fromhex("1f8b08000000000000ff"):
        raise ValueError("another gzip header")
    member = zlib.decompressobj(wbits=31)
    plain = member.decompress(text, size + 1)
    if not member.eof or member.unused_data:
        raise ValueError("gzip member too long, incomplete, or something behind it")
    return plain

def unzstd(text, size):
    if text[:4] != bytes.fromhex("28b52ffd"):
        raise ValueError("no zstd frame")
    frame = zstandard.get_frame_parameters(text)
    if frame.dict_id or frame.window_size > MAX_WINDOW or frame.content_size not in (size, zstandard.CONTENTSIZE_UNKNOWN):
        raise ValueError("zstd dictionary, window or content size")
    end, last = zstandard.frame_header_size(text), False
    while not last:                                                         # RFC 8878, 3.1.1.2: the blocks of the frame
        if end + 3 > len(text):
            raise ValueError("zstd frame is incomplete")
        header = number(text, end, 3)
        last, end = header & 1, end + 3 + (1 if header >> 1 & 3 == 1 else header >> 3)
    if end + 4 * frame.has_checksum != len(text):
        raise ValueError("zstd frame is incomplete or something is behind it")
    reader = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(io.BytesIO(text))
    plain = bytearray()
    while len(plain) <= size and (piece := reader.read(size + 1 - len(plain))):
        plain += piece
    return bytes(plain)


# ---- 5. Text objects ------------------------------------------------------------------------------------------------

def unique(pairs):
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("two members of one name")
    if len(result) > 65536:
        raise ValueError("an object of more than 65,536 members")
    return result

def whole(digits):
    if not re.fullmatch("[0-9]{1,20}", digits) or int(digits) >= 1 << 64:
        raise ValueError(f"number {digits[:40]}")
    return int(digits)

def check_json(value, level=1):
    """The depth, and (encode) no half of a surrogate pair; the hooks of the parser have seen to the rest of R-TEXT-6."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, (dict, list)):
        if level > 32:
            raise ValueError("nested deeper than 32 levels")
        for inner in value:
            check_json(inner, level + 1)
        for inner in value.values() if isinstance(value, dict) else ():
            check_json(inner, level + 1)

def parse_json(name, raw):
    try:
        value = json.loads(raw.decode(), object_pairs_hook=unique, parse_int=whole, parse_float=whole, parse_constant=whole)
        check_json(value)
    except (json.JSONDecodeError, UnicodeDecodeError) as e:
        raise Refused(name, f"is no JSON of UTF-8 ({e}), R-TEXT-1")
    except (ValueError, RecursionError) as e:
        raise Refused(name, f"{e}, R-TEXT-6")
    if not isinstance(value, dict):
        raise Refused(name, "is no JSON object, R-TEXT-1")
    return value

def check_members(name, body, named):                                       # R-TEXT-5
    for key, check in named.items():
        if key not in body or not check(body[key]):
            raise Refused(name, f"the member {key!r} is missing or not of its form, R-TEXT-5")

class TextObject:
    """A file of three lines that has passed R-TEXT-1, 2 and 6."""

    def __init__(self, store, place, limit=64 * KIB):
        raw = store.read(place, limit, "R-TEXT-1")
        lines = re.fullmatch(rb"(([^\n]*\n)([^\n]*)\n)blake3 ([0-9a-f]{64})\n", raw)
        if not lines:
            raise Refused(place, "is not of three lines as the document says, R-TEXT-1")
        if blake3(lines[1]).hexdigest().encode() != lines[4]:
            raise Refused(place, "damaged: the BLAKE3 differs, R-TEXT-2")
        second = re.fullmatch(rb"unsigned|ed25519 ([0-9a-f]{128})", lines[3])
        if not second or not (lines[2].startswith(b"{") and lines[2].endswith(b"}\n")):
            raise Refused(place, "the body is no object, or the second line no signature, R-TEXT-1")
        self.place, self.blake3, self.signed = place, blake3(raw).hexdigest(), lines[2]
        self.signature = second[1] and bytes.fromhex(second[1].decode())
        self.body = parse_json(place, self.signed)

    def check(self, kind, name, repository=None):                           # R-TEXT-4
        check_members(self.place, self.body, {"kind": is_text, "repository": is_hex(16), "name": is_text})
        if (self.body["kind"], self.body["name"]) != (kind, name):
            raise Refused(self.place, "says another kind or name, R-TEXT-4, R-NAME-2")
        if repository is not None and self.body["repository"] != repository.hex():
            raise Refused(self.place, "is of another repository, R-TEXT-4")

    def verify(self, key):                                                  # R-TEXT-3; key None: must be unsigned
        if (key is None) != (self.signature is None):
            raise Refused(self.place, f"is {'not ' if key else ''}signed, R-TEXT-3")
        try:
            if key is not None:
                key.verify(self.signature, self.signed)
        except InvalidSignature:
            raise Refused(self.place, "wrong signature, R-TEXT-3")


# ---- 6. Config ------------------------------------------------------------------------------------------------------

CONFIG = {"serial": is_count, "created": is_time, "suite": is_count, "chunkHash": is_text, "chunking": is_object,
          "weakStore": is_bool}
CHUNKING = {"algorithm": is_text, "min": is_count, "average": is_count, "max": is_count}

def read_config(store, place):
    config = TextObject(store, place)
    body = config.body
    check_members(place, body, {"version": is_count})
    if body["version"] != 1:
        raise Final(place, f"has the format version {body['version']}, this reader knows 1, R-CONFIG-1")
    config.check("config", "config.json")
    check_members(place, body, {"requires": is_list(is_text)})
    if body["requires"]:
        raise Final(place, f"requires unknown features: {', '.join(body['requires'])}, R-CONFIG-3")
    check_members(place, body, CONFIG)
    if body["serial"] < 1:
        raise Refused(place, "the serial is 0, R-CONFIG-2")
    if (body["suite"], body["chunkHash"]) not in ((0, "sha-256"), (1, "hmac-sha-256")):
        raise Refused(place, "unknown suite or chunkHash, R-CONFIG-4")
    sizes = body["chunking"]
    check_members(place, sizes, CHUNKING)
    low, average, high = sizes["min"], sizes["average"], sizes["max"]
    if not (sizes["algorithm"] == "fastcdc-nc2" and low % 2 == 0 and high % 2 == 0 and 64 <= low < average < high <= 16 * MIB
            and 256 <= average <= 4 * MIB and average & (average - 1) == 0):
        raise Refused(place, "unknown chunking, or sizes out of their limits, R-CONFIG-5")
    return config

class Repository:
    """An opened repository: R-CONFIG-6 in its order (this reader remembers nothing)."""

    def __init__(self, store, passphrase, key):
        self.store, self.domains, self.verifier, self.spent, self.named = store, {}, None, 0, {}
        store.copies("config.json", lambda place: self.open(place, passphrase, key))

    def open(self, place, passphrase, key):
        config = read_config(self.store, place)
        self.id, self.suite = bytes.fromhex(config.body["repository"]), config.body["suite"]
        given = passphrase is not None or key is not None
        if given != (self.suite == 1):
            raise Final(place, "is of a plain repository, but a passphrase or key was given, R-CONFIG-6" if given
                        else "is of an encrypted repository: a passphrase or key file is needed, R-CONFIG-6")
        if self.suite == 1:
            self.root = find_root(self, passphrase, key)
            self.verifier = Ed25519PrivateKey.from_private_bytes(kdf(self.root, b"sign", b"", self.id)).public_key()
        config.verify(self.verifier)

    def domain(self, id):
        if id not in self.domains:
            self.domains[id] = Domain(self, id)
        return self.domains[id]

    def text(self, place, name, kind, members, signed, limit=64 * KIB):
        found = TextObject(self.store, place, limit)
        found.check(kind, name, self.id)
        found.verify(self.verifier if signed else None)
        check_members(place, found.body, members)
        return found


# ---- 7. Key slots ---------------------------------------------------------------------------------------------------

SLOT = {"capability": is_text, "created": is_time, "kdf": is_object, "salt": is_hex(32), "commitment": is_hex(32),
        "sealed": is_hex(), "text": is_hex()}
ARGON2 = {"memoryKiB": is_count, "passes": is_count, "lanes": is_count}
CAPABILITY = {"admin": (1, 32), "write": (2, 16 + 32 + 2 + 32 + 32)}        # byte, length of the payload

def read_key_file(path):                                                    # R-KEYFILE-1
    with open(path, "rb") as f:
        raw = f.read(200)
    match = re.fullmatch(rb"(containerarchive-key-1 ([0-9a-f]{64})) ([0-9a-f]{16})(?:\r?\n)?", raw)
    if not match or blake3(match[1]).hexdigest(8).encode() != match[3]:
        raise Refused(path, "is no key file, or its checksum is wrong, R-KEYFILE-1")
    return bytes.fromhex(match[2].decode())

def slot_kdf(repo, place, body, passphrase, key):
    """Key and commitment (64 bytes) and what the associated data says of the algorithm; None: not for us."""
    salt, parameters = bytes.fromhex(body["salt"]), body["kdf"]
    check_members(place, parameters, {"algorithm": is_text})
    if parameters["algorithm"] == "key-file":
        return key and (kdf(key, b"key-file", salt, repo.id, 64), b"\x02" + bytes(12))
    if parameters["algorithm"] != "argon2id":
        raise Refused(place, "unknown algorithm, R-SLOT-5")
    check_members(place, parameters, ARGON2)
    memory, passes, lanes = (parameters[k] for k in ARGON2)
    if not (19456 <= memory <= 2097152 and 1 <= passes <= 16 and 1 <= lanes <= 16 and memory * passes <= 8388608):
        raise Refused(place, "Argon2 parameters out of their limits, R-SLOT-1")
    if passphrase is None:
        return None
    repo.spent += memory * passes
    if repo.spent > 33554432:
        raise Refused(place, "Argon2 would cost too much over all slots, R-SLOT-1")
    try:
        both = argon2.low_level.hash_secret_raw(passphrase, salt, time_cost=passes, memory_cost=memory, parallelism=lanes,
                                                hash_len=64, type=argon2.low_level.Type.ID, version=0x13)
    except argon2.exceptions.HashingError as e:
        raise Refused(place, f"Argon2 fails: {e}")
    return both, b"\x01" + le(memory, 4) + le(passes, 4) + le(lanes, 4)

def open_slot(repo, place, slot, passphrase, key):
    """Capability and payload, or None when the passphrase or key is not this slot's."""
    body = repo.text(place, f"keys/{slot}.json", "key", SLOT, signed=False).body
    if body["capability"] not in CAPABILITY:
        raise Refused(place, "unknown capability, R-SLOT-5")
    byte, size = CAPABILITY[body["capability"]]
    derived = slot_kdf(repo, place, body, passphrase, key)
    if not derived or not hmac.compare_digest(derived[0][32:], bytes.fromhex(body["commitment"])):
        return None                                                         # R-SLOT-2
    aad = (b"containerarchive/1 slot\0" + repo.id + bytes.fromhex(slot) + bytes([byte]) + derived[1]
           + bytes.fromhex(body["salt"]))
    try:
        payload = unseal(1, place, derived[0][:32], bytes(12), aad, bytes.fromhex(body["sealed"]))
    except Refused as e:
        raise Refused(place, f"damaged: {e.what}, R-SLOT-2")
    if len(payload) != size or size != 32 and number(payload, 48, 2) != repo.suite:
        raise Refused(place, "the payload has another length or suite, R-SLOT-3")
    if body["capability"] == "admin":
        try:
            slot_text(repo, place, slot, body, payload)
        except Refused as e:
            say(e.name, e.what)
    return body["capability"], payload

def slot_text(repo, place, slot, body, root):
    """What people call the slot. Damage here does not stop an opening."""
    key = kdf(root, b"slot-text", bytes.fromhex(slot), repo.id)
    text = parse_json(place, unseal(1, place, key, bytes(12), b"", bytes.fromhex(body["text"])))
    check_members(place, text, {"label": is_text, "domain": is_hex(16), "domainName": lambda v: v is None or is_text(v)})

def find_root(repo, passphrase, key):
    slots, write_only, damaged = repo.store.ids("keys", "([0-9a-f]{32})[.]json", replicas=True), False, False
    if len(slots) > 32:
        raise Refused("keys", "there are more than 32 slots, R-SLOT-4")
    for slot in slots:
        try:
            opened = repo.store.copies(f"keys/{slot}.json", lambda place: open_slot(repo, place, slot, passphrase, key))
        except Refused as e:                                                # another slot may still be ours
            say(e.name, e.what)
            damaged = True
            continue
        if opened and opened[0] == "admin":
            return opened[1]
        write_only = write_only or bool(opened)
    raise (Refused if damaged else Final)(
        "keys", "the passphrase or key opens only a write slot, which cannot read snapshots" if write_only
        else "the passphrase or key opens no slot, R-SLOT-2")


# ---- 8. Packs -------------------------------------------------------------------------------------------------------

RECORD, HEAD, MAX_TABLE = 48, 160, 32 + 12337 * PAGE

def read_table(store, name):
    """The first 160 bytes of a pack, its offset t, and the bytes from there to the end. R-PACK-1, R-PACK-4"""
    with store.open(name) as (fd, size):
        if not HEAD + 32 + PAGE + 8 <= size <= GIB:
            raise Refused(name, f"is {size} bytes long, R-PACK-1, R-PACK-4")
        length = check_end(name, size, store.part(name, fd, size - 8, 8))
        t = size - 8 - length
        return store.part(name, fd, 0, HEAD), t, store.part(name, fd, t, length + 8)

def check_end(name, size, end):
    length = number(end, 0, 4)
    if end[4:] != b"CTBL" or length % PAGE != 32 or length < PAGE + 32 or HEAD + length + 8 > size:
        raise Refused(name, "the end is not that of a pack, R-PACK-4")
    if length > MAX_TABLE:
        raise Refused(name, f"the table is longer than {MAX_TABLE} bytes, R-PACK-1")
    return length

def table_content(repo, name, head, tail):
    """The domain of a pack and its chunk table. That of another domain opens as well: so damage is told from it."""
    domain = repo.domain(check_prefix(name, head[:96], PACK, repo)[1])
    key = domain.symmetric_key(name, b"table", head, tail[:32])
    return domain, open_blob(repo.suite, name, key, tail[32:-8])

def records(name, klass, t, content):
    """Slot, offset and record of every chunk but padding. R-PACK-1, 2, 3, R-RECORD-1, 2, 3 (all but equal hashes)"""
    count, rest = divmod(len(content), RECORD)
    if rest or not 1 <= count <= 1 << 20:
        raise Refused(name, "the table has no, too many, or broken records, R-PACK-1")
    offset = HEAD
    for slot in range(count):
        record = content[slot * RECORD:(slot + 1) * RECORD]
        stored, plain, kind, codec = number(record, 32, 4), number(record, 36, 4), record[40], record[41]
        if kind > RECIPE or codec > 2 or record[42:] != b"\0\0\xff\xff\xff\xff":
            raise Refused(name, f"record {slot}: kind, codec, zeros or dictionary, R-RECORD-1")
        if kind not in (PADDING, klass):                                    # class 1: data, class 2: recipes
            raise Refused(name, f"record {slot}: kind of another class, R-PACK-2")
        if (not (kind != PADDING) <= plain <= (MAX_NODE if kind == RECIPE else MAX_CHUNK) or stored < 16
                or (stored - 16 != plain if codec == 0 else not 1 <= stored - 16 < plain)):
            raise Refused(name, f"record {slot}: lengths, R-RECORD-2")
        if kind == PADDING and (codec or record[:32] != bytes(32) or slot != count - 1 or slot == 0):
            raise Refused(name, f"record {slot}: padding, R-RECORD-3")
        if kind != PADDING:
            yield slot, offset, record
        offset += stored
    if offset != t:
        raise Refused(name, "the chunks do not fill the space before the table, R-PACK-3")

class Index:
    """Where the chunks of one domain are (R-CHUNK-2), in a temporary file, so that memory stays small.

    It comes from the packs' own tables. Pack indexes and index segments (sections 9, 10) are hints and are not read."""

    def __init__(self, repo, domain):
        self.repo, self.domain, self.keys, self.bad = repo, domain, {}, []
        self.parity, self.tried = None, set()
        self.db = sqlite3.connect("", isolation_level=None)
        self.db.execute("CREATE TABLE pack (number INTEGER PRIMARY KEY, id TEXT, head BLOB)")
        self.db.execute("CREATE TABLE chunk (hash BLOB, kind INT, pack INT, slot INT, start INT, record BLOB,"
                        " PRIMARY KEY (hash, kind, pack)) WITHOUT ROWID")

    def add_all(self):
        masked = named_by_records(self.repo, "retire", "packs", 32)
        for pack in sorted(self.repo.store.packs(), key=lambda pack: pack in masked):   # masked ones last, R-RECORD-FILE-1
            try:
                self.add(pack)
            except Refused as e:
                say(e.name, e.what)
                self.bad.append(e.name)

    def add(self, pack):
        name = f"packs/data/{pack[:2]}/{pack}.pack"
        head, t, tail = read_table(self.repo.store, name)
        domain, content = table_content(self.repo, name, head, tail)
        if domain is not self.domain:
            return
        try:
            with self.db:                       # all of a table, or nothing
                self.db.execute("BEGIN")
                row = self.db.execute("INSERT INTO pack (id, head) VALUES (?, ?)", (pack, head)).lastrowid
                self.db.executemany("INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?)", (
                    (record[:32], record[40], row, slot, start, record)
                    for slot, start, record in records(name, head[14], t, content)))
        except sqlite3.IntegrityError:
            raise Refused(name, "two records have the same kind and hash, R-RECORD-3")

    def chunk(self, kind, hash):
        """The plaintext of a chunk, from the first pack that has it undamaged; at last from packs that are rebuilt."""
        rows = self.rows(kind, hash)
        for row in rows:
            with contextlib.suppress(Refused):
                return self.open_or_say(row)
        for pack in self.lost_packs([row[4] for row in rows]):
            if self.mend(pack):
                for row in self.rows(kind, hash):
                    if row[4] == pack:
                        with contextlib.suppress(Refused):
                            return self.open_or_say(row)
        raise Refused(f"chunk {kind}:{hash.hex()}", ("lost: each pack that has it was refused" if rows else "lost: no pack has it")
                      + "".join(f"; could not be opened: {name}" for name in self.bad[:20]))

    def rows(self, kind, hash):
        return self.db.execute("SELECT pack, slot, start, record, id FROM chunk JOIN pack ON number = pack"
                               " WHERE hash = ? AND kind = ? ORDER BY pack", (hash, kind)).fetchall()

    def open_or_say(self, row):
        try:
            return self.open(*row[:4])
        except Refused as e:
            say(e.name, e.what)
            raise

    def lost_packs(self, refused):
        """Packs that may have a chunk that is not found: each of them is rebuilt once at most."""
        for pack in refused + [os.path.basename(name)[:64] for name in self.bad] + self.groups().missing(self.domain.id):
            if pack not in self.tried:
                self.tried.add(pack)
                yield pack

    def groups(self):
        if self.parity is None:
            self.parity = Parity(self.repo)
        return self.parity

    def mend(self, pack):
        name = f"packs/data/{pack[:2]}/{pack}.pack"
        if not self.groups().rebuild(pack):
            return False
        say(name, "is missing or damaged; it was rebuilt from its parity group, section 17")
        try:
            if not self.db.execute("SELECT 1 FROM pack WHERE id = ?", (pack,)).fetchone():
                self.add(pack)
        except Refused as e:                    # it was written so
            say(e.name, e.what)
        return True

    def open(self, number_of_pack, slot, start, record):
        pack, head = self.db.execute("SELECT id, head FROM pack WHERE number = ?", (number_of_pack,)).fetchone()
        name = f"packs/data/{pack[:2]}/{pack}.pack"
        stored, plain, kind, codec = number(record, 32, 4), number(record, 36, 4), record[40], record[41]
        with self.repo.store.open(name) as (fd, _):
            sealed = self.repo.store.part(name, fd, start, stored)
        text = unseal(self.repo.suite, name, self.key(name, head), le(slot, 4) + record[:8], record, sealed)
        result = decompress(name, codec, text, plain)
        if not hmac.compare_digest(chunk_hash(self.domain, kind, result), record[:32]):
            raise Refused(name, f"chunk {slot} has another hash, R-CHUNK-1")
        return result

    def key(self, name, head):
        if head not in self.keys:
            if len(self.keys) >= 64:
                self.keys.clear()
            self.keys[head] = self.domain.object_key(name, b"pack", head[:96], head[96:128], head[128:])
        return self.keys[head]


# ---- 11. Recipes ----------------------------------------------------------------------------------------------------

def parse_node(name, node, root):
    """Level and entries as (hash, leaf entries below, bytes below). R-NODE-1, R-NODE-2"""
    if len(node) < 8 or len(node) > MAX_NODE or node[0] != 1 or node[1] > 48 or node[2:4] != b"\0\0":
        raise Refused(name, "recipe node: length, version, zeros or level, R-NODE-1")
    level, count, step = node[1], number(node, 4, 4), 48 if node[1] else 36
    if len(node) != 8 + step * count:
        raise Refused(name, "recipe node: length and number of entries differ, R-NODE-1")
    if count == 0 and (level or not root):
        raise Refused(name, "recipe node without entries, R-NODE-2")
    entries = []
    for at in range(8, len(node), step):
        leaves, size = (number(node, at + 32, 8), number(node, at + 40, 8)) if level else (1, number(node, at + 32, 4))
        if not level and not 1 <= size <= MAX_CHUNK or not leaves:
            raise Refused(name, "recipe entry: length or number, R-NODE-2")
        entries.append((node[at:at + 32], leaves, size))
    sums = sum(e[1] for e in entries), sum(e[2] for e in entries)
    if max(sums) >= 1 << 64:
        raise Refused(name, "recipe sums overflow, R-NODE-2")
    return level, entries, sums

def leaf_entries(index, hash, size, leaves=None, level=None):
    """Hash and length of each data chunk. Each level is one less than the one above, so this ends after 49 at most."""
    name = f"chunk {RECIPE}:{hash.hex()}"
    found, entries, sums = parse_node(name, index.chunk(RECIPE, hash), level is None)
    if level is None and sums[1] != size:
        raise Refused(name, f"the recipe has {sums[1]} bytes, the item {size}, R-MANIFEST-3")
    if level is not None and (found, sums) != (level, (leaves, size)):
        raise Refused(name, "level or sums are not those that the parent states, R-NODE-3")
    for child, below, length in entries:
        if found:
            yield from leaf_entries(index, child, length, below, found - 1)
        else:
            yield child, length

def content(index, hash, size):
    for child, length in leaf_entries(index, hash, size):
        piece = index.chunk(DATA, child)
        if len(piece) != length:
            raise Refused(f"chunk {DATA}:{child.hex()}", "has another length than its entry states, R-NODE-4")
        yield piece


# ---- 12. Manifests --------------------------------------------------------------------------------------------------

CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")

def is_label(v):                                                            # R-MANIFEST-5
    return len(v.encode()) <= 4096 and not CONTROL.search(v)

MANIFEST_OUTER = {"suite": is_count, "domain": is_hex(16), "committed": is_time, "salt": is_hex(32), "enc": is_hex(32),
                  "commitment": is_hex(32), "pages": is_base64}
MANIFEST_INNER = {"id": is_hex(16), "createdAt": is_time, "committedAt": is_time, "series": is_text, "tags": is_object,
                  "originalSize": is_count, "storedSize": is_count, "chunkCount": is_count, "newChunks": is_count,
                  "reusedChunks": is_count, "items": is_list(is_object), "host": is_text, "user": is_text,
                  "durationMs": is_count, "previous": is_list(is_object)}
ITEM = {"name": is_text, "type": is_text, "size": is_count, "content": lambda v: v == "recipe", "root": is_hex(32)}

def read_manifest(repo, place, session):
    outer = repo.text(place, f"snapshots/{session}.json", "manifest", MANIFEST_OUTER, signed=False, limit=64 * MIB)
    body = outer.body
    prefix = prefix_of_text(place, body, MANIFEST, session, repo)
    domain, enc, commitment = (bytes.fromhex(body[k]) for k in ("domain", "enc", "commitment"))
    key = repo.domain(domain).object_key(place, b"manifest", prefix, enc, commitment)
    inner = parse_json(place, open_blob(repo.suite, place, key, base64.b64decode(body["pages"])))
    check_members(place, inner, {"version": is_count})
    if inner["version"] != 1:
        raise Final(place, f"has the version {inner['version']}, this reader knows 1, R-MANIFEST-1")
    check_members(place, inner, MANIFEST_INNER)
    for members, entries in ((ITEM, inner["items"]), ({"id": is_hex(16), "blake3": is_hex(32)}, inner["previous"])):
        for entry in entries:
            check_members(place, entry, members)
    if not all(map(is_text, inner["tags"].values())):
        raise Refused(place, "a tag is not a text, R-MANIFEST-5, R-TEXT-5")
    if len(inner["previous"]) > 8:
        raise Refused(place, "names more than eight earlier ones, R-MANIFEST-4")
    if inner["id"] != session or inner["committedAt"] != body["committed"]:
        raise Refused(place, "the id or the time of commit is not that outside, R-MANIFEST-1")
    check_names(place, [item["name"] for item in inner["items"]])
    labels = [inner["series"], inner["host"], inner["user"], *(item["type"] for item in inner["items"])]
    if not all(map(is_label, labels + [*inner["tags"], *inner["tags"].values()])):
        raise Refused(place, "series, type, host, user or tags are too long or have control characters, R-MANIFEST-5")
    inner["domain"], inner["blake3"] = domain, outer.blake3
    return inner

def check_names(place, names):                                              # R-MANIFEST-2
    if not 1 <= len(names) <= 100000:
        raise Refused(place, f"has {len(names)} items, R-MANIFEST-2")
    for name in names:
        if (not 1 <= len(name.encode()) <= 4096 or CONTROL.search(name)
                or any(part in ("", ".", "..") for part in name.split("/"))):
            raise Refused(place, f"the item name {name!r} is not allowed, R-MANIFEST-2")
    ordered = sorted(name.replace("/", "\0") for name in names)             # so a folder comes just before what is in it
    for one, other in zip(ordered, ordered[1:]):
        if one == other or other.startswith(one + "\0"):
            raise Refused(place, f"the item {one!r} is there twice, or is a folder of another, R-MANIFEST-2")


# ---- 13. Voids, fences, records -------------------------------------------------------------------------------------

def read_mark(repo, session, kind, name, place=None):
    """A void or a fence. R-SESSION-3"""
    found = repo.text(place or name, name, kind, {"session": is_hex(16), "created": is_time}, signed=True)
    if found.body["session"] != session:
        raise Refused(name, "is of another session, R-SESSION-3")

def marked(repo, session, kind, name):
    """Is there a valid void or fence? One that breaks a rule is damage and marks nothing. R-SESSION-1"""
    if not repo.store.exists(name):
        return False
    try:
        read_mark(repo, session, kind, name)
        return True
    except Refused as e:
        say(e.name, e.what)
        return False

def is_void(repo, session):
    return marked(repo, session, "void", f"snapshots/{session}.void")

def is_removed(repo, session):
    """Explains a void, a fence or a forget record why the manifest is not there? R-MANIFEST-4"""
    return (session in named_by_records(repo, "forget", "snapshots", 16) or is_void(repo, session)
            or marked(repo, session, "fence", f"locks/{session}.fence"))

def read_record(repo, place, kind, record, member, size):
    members = {"created": is_time, member: is_list(is_hex(size))}
    return repo.text(place, f"records/{kind}/{record}.json", kind, members, signed=True, limit=64 * MIB).body[member]

def named_by_records(repo, kind, member, size):
    """Everything that the records of a kind name; a damaged record is reported and names nothing."""
    if kind not in repo.named:
        repo.named[kind] = set()
        for record in repo.store.ids(f"records/{kind}", "([0-9a-f]{32})[.]json", replicas=True):
            try:
                repo.named[kind].update(repo.store.copies(
                    f"records/{kind}/{record}.json", lambda place: read_record(repo, place, kind, record, member, size)))
            except Refused as e:
                say(e.name, e.what)
    return repo.named[kind]


# ---- 14, 16. Snapshots and how to restore ---------------------------------------------------------------------------

def sessions(repo):
    """The ids of the snapshots that exist. R-SESSION-1, R-REPLICA-1"""
    for session in repo.store.ids("snapshots", "([0-9a-f]{32})[.]json", replicas=True):
        original = repo.store.exists(f"snapshots/{session}.json")
        is_forgotten = not original and session in named_by_records(repo, "forget", "snapshots", 16)
        if not is_forgotten and not is_void(repo, session):
            yield session

def load_manifest(repo, session):
    return repo.store.copies(f"snapshots/{session}.json", lambda place: read_manifest(repo, place, session))

def load_all(repo):
    """All snapshots that exist, the oldest first, and whether all of them could be read."""
    found, fine = [], True
    for session in sessions(repo):
        try:
            found.append(load_manifest(repo, session))
        except Refused as e:
            say(e.name, e.what)
            fine = False
    return sorted(found, key=lambda m: (m["createdAt"], m["id"])), fine

def check_previous(repo, manifests):                                        # R-MANIFEST-4
    there, fine = {m["id"]: m for m in manifests}, True
    for manifest in manifests:
        for entry in manifest["previous"]:
            id = entry["id"]
            if id in there and there[id]["domain"] != manifest["domain"]:
                continue                                                    # another domain's: no writer can doubt it
            if id not in there and is_removed(repo, id):
                continue
            if id not in there or there[id]["blake3"] != entry["blake3"]:
                say(f"snapshots/{id}.json", "is missing, damaged, or not the one that "
                    f"snapshots/{manifest['id']}.json names, R-MANIFEST-4")
                fine = False
    return fine

def find_snapshot(repo, wanted):
    if wanted == "latest":
        manifests, fine = load_all(repo)
        if not fine or not manifests:
            raise Refused("snapshots", "there is none" if fine else "the latest is not known: some cannot be read")
        return manifests[-1]
    if not re.fullmatch("[0-9a-f]{1,32}", wanted):
        raise Refused(f"snapshot {wanted}", "is neither an id, nor the start of one, nor `latest`")
    fits = [s for s in sessions(repo) if s.startswith(wanted)]
    if len(fits) != 1:
        raise Refused(f"snapshot {wanted}", f"{len(fits)} snapshots start so" if fits
                      else "there is no such snapshot, or it was removed, R-SESSION-1, R-REPLICA-1")
    return load_manifest(repo, fits[0])

def item_content(index, manifest, item):
    """The content of one item; any refusal on the way names the snapshot and the item too."""
    try:
        yield from content(index, bytes.fromhex(item["root"]), item["size"])
    except Refused as e:
        raise Refused(f"snapshots/{manifest['id']}.json", f"item {item['name']!r}: {e.name}: {e.what}")

def write_file(folder, name, pieces):
    """Write pieces to a new file below the descriptor `folder`; follows no link and overwrites nothing."""
    *parents, last = name.encode().split(b"/")
    here = os.dup(folder)
    try:
        for parent in parents:
            with contextlib.suppress(FileExistsError):
                os.mkdir(parent, dir_fd=here)
            deeper = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = deeper
        if last in map(os.fsencode, os.listdir(here)):                      # publish sees to it in any case
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        part = b".restore-" + secrets.token_hex(8).encode() + b".part"
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=here), "wb") as f:
                for piece in pieces:
                    f.write(piece)
                f.flush()
                os.fsync(f.fileno())
            publish(here, part, last)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part, dir_fd=here)
    finally:
        os.close(here)

def publish(here, part, last):
    """Give the finished file its name. A link never overwrites; where there are none, take the name first, then rename."""
    try:
        os.link(part, last, src_dir_fd=here, dst_dir_fd=here, follow_symlinks=False)
    except OSError as e:
        if e.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        os.close(os.open(last, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=here))
        os.rename(part, last, src_dir_fd=here, dst_dir_fd=here)

def restore(repo, args):
    manifest = find_snapshot(repo, args.snapshot)
    items = [i for i in manifest["items"] if args.item in (None, i["name"])]
    if not items:
        raise Refused(f"snapshots/{manifest['id']}.json", f"has no item {args.item!r}")
    if args.to == "-" and len(items) > 1:
        raise Refused(f"snapshots/{manifest['id']}.json", "has more than one item: choose one with --item")
    index = Index(repo, repo.domain(manifest["domain"]))
    index.add_all()
    if args.to == "-":
        for piece in item_content(index, manifest, items[0]):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return True
    os.makedirs(args.to, exist_ok=True)
    folder, fine = os.open(args.to, os.O_RDONLY | os.O_DIRECTORY), True
    for item in items:                          # one that fails does not stop the others
        try:
            write_file(folder, item["name"], item_content(index, manifest, item))
        except (Refused, OSError) as e:
            fine = False
            say(*(e.name, e.what) if isinstance(e, Refused) else (os.path.join(args.to, item["name"]), e.strerror))
    os.close(folder)
    return fine

def list_snapshots(repo, args):
    manifests, fine = load_all(repo)
    fine = check_previous(repo, manifests) and fine
    shown = ("id", "createdAt", "committedAt", "series", "tags", "originalSize", "storedSize", "host", "user", "durationMs")
    out = [{k: m[k] for k in shown} | {"domain": m["domain"].hex(), "items": [
        {k: i[k] for k in ("name", "type", "size")} for i in m["items"]]} for m in manifests]
    if args.json:
        print(json.dumps({"repository": repo.id.hex(), "encrypted": repo.suite == 1, "snapshots": out}, indent=1))
    else:
        for m in out:
            print(f"{m['id']}  {m['committedAt']}  {m['originalSize']} bytes  series {json.dumps(m['series'])}")
            for item in m["items"]:
                print(f"    {item['size']:>14}  {item['name']}")
    return fine


# ---- 17. Parity shards ----------------------------------------------------------------------------------------------

BLOCK, SUM, MAX_FRONT, MAX_ROWS = 32 * KIB, 16, 144 + 48 * 200, 32768

# GF(2^8) with the polynomial 0x11D, by powers of x.

EXP = [1]
while len(EXP) < 255:
    EXP.append(EXP[-1] << 1 ^ (0x11d if EXP[-1] & 0x80 else 0))
LOG = {power: at for at, power in enumerate(EXP)}

def multiply(a, b):
    return EXP[(LOG[a] + LOG[b]) % 255] if a and b else 0

def inverse(a):
    return EXP[-LOG[a] % 255]

def coefficient(shard, column):
    return inverse(240 + shard ^ column)

@functools.cache
def products(factor):
    return bytes(multiply(factor, value) for value in range(256))

def times(factor, block):
    """A block times a factor, as an integer: sums of blocks are xor, and zeros behind a short one come by themselves."""
    return int.from_bytes(block.translate(products(factor)), "little")

@functools.lru_cache(64)
def inverse_matrix(shards, columns):
    """The inverse of the matrix of these coefficients, by Gauss."""
    size = len(columns)
    rows = [[coefficient(i, c) for c in columns] + [int(at == j) for j in range(size)] for at, i in enumerate(shards)]
    for at in range(size):
        pivot = next(j for j in range(at, size) if rows[j][at])     # there is one: the matrix is a Cauchy matrix
        rows[at], rows[pivot] = rows[pivot], rows[at]
        scale = inverse(rows[at][at])
        rows[at] = [multiply(scale, value) for value in rows[at]]
        for j in range(size):
            if j != at and (factor := rows[j][at]):
                rows[j] = [value ^ multiply(factor, other) for value, other in zip(rows[j], rows[at])]
    return [row[size:] for row in rows]

# Chaining values of BLAKE3, which its library does not give. All chunks of a block are done at once: the 32-bit words of
# chunk j are the 64 bits from 64 j on of large integers.

BLAKE3_IV = (0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19)
CHUNK_START, CHUNK_END, PARENT, ROOT, CHUNK = 1, 2, 4, 8, 1024
BLAKE3_ORDER = [tuple(range(16))]
for _ in range(6):
    BLAKE3_ORDER.append(tuple(BLAKE3_ORDER[-1][at] for at in (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)))
BLAKE3_MIX = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))

def lanes(words):
    return int.from_bytes(struct.pack(f"<{len(words)}Q", *words), "little")

def compress(count, value, message, counters, length, flags):
    one = lanes([1] * count)
    mask = one * 0xffffffff
    v = [*value, *(word * one for word in BLAKE3_IV[:4]), lanes([t & 0xffffffff for t in counters]),
         lanes([t >> 32 for t in counters]), length * one, flags * one]
    for order in BLAKE3_ORDER:
        for at, (a, b, c, d) in enumerate(BLAKE3_MIX):
            for word, right, left in ((message[order[2 * at]], 16, 12), (message[order[2 * at + 1]], 8, 7)):
                v[a] = v[a] + v[b] + word & mask
                x = v[d] ^ v[a]
                v[d] = (x >> right | x << 32 - right) & mask
                v[c] = v[c] + v[d] & mask
                x = v[b] ^ v[c]
                v[b] = (x >> left | x << 32 - left) & mask
    return [v[i] ^ v[i + 8] for i in range(8)]

def each_lane(count, values):
    """The chaining values of single lanes: lists of 8 words."""
    return list(map(list, zip(*(struct.unpack(f"<{count}Q", value.to_bytes(8 * count, "little")) for value in values))))

def chunk_values(data, first):
    """Chaining values of chunks of one length, counted from `first`."""
    size = min(len(data), CHUNK)
    count, steps = len(data) // size, max(1, -(-size // 64))
    data = b"".join(data[at:at + size].ljust(64 * steps, b"\0") for at in range(0, len(data), size))
    words, value = struct.unpack(f"<{len(data) // 4}I", data), [word * lanes([1] * count) for word in BLAKE3_IV]
    for step in range(steps):
        message = [lanes(words[16 * step + word::16 * steps]) for word in range(16)]
        flags = CHUNK_START * (step == 0) | CHUNK_END * (step == steps - 1)
        value = compress(count, value, message, range(first, first + count), min(64, size - 64 * step), flags)
    return each_lane(count, value)

def parents(values, flags=PARENT):
    """The next level of the tree; one without a sibling goes up as it is."""
    count = len(values) // 2
    message = [lanes([values[2 * at + word // 8][word % 8] for at in range(count)]) for word in range(16)]
    value = compress(count, [word * lanes([1] * count) for word in BLAKE3_IV], message, [0] * count, 64, flags)
    return each_lane(count, value) + values[2 * count:]

def chaining_value(place, block):
    whole, first = len(block) // CHUNK * CHUNK, place * (BLOCK // CHUNK)
    values = chunk_values(block[:whole], first) if whole else []
    if block[whole:]:
        values += chunk_values(block[whole:], first + whole // CHUNK)
    while len(values) > 1:
        values = parents(values)
    return values[0]

def block_sum(place, block):
    return struct.pack("<4I", *chaining_value(place, block)[:4])

class Group:
    """What all shards of a group say of it, and the names of those that are there."""

    def __init__(self, front):
        self.id, self.domain, self.m, self.n, self.rows = front[64:96], front[32:48], front[97], number(front, 98, 2), number(front, 100, 4)
        fields = (front[at:at + 48] for at in range(112, 112 + 48 * self.n, 48))
        self.members = [(f[:32].hex(), number(f, 32, 8), number(f, 40, 4), f[44]) for f in fields]
        self.shards, self.front, self.record = {}, 144 + 48 * self.n, SUM * (self.n + self.m + 1)
        self.same = front[:96] + front[97:self.front - 32]
        self.bytes = max((first * BLOCK + length for _, length, first, _ in self.members), default=0)

    def row(self, row):
        return self.front + self.rows * self.record + row * BLOCK

    def row_size(self, row):
        return min(BLOCK, self.bytes - row * BLOCK)

    def records(self, row):
        return self.front + row * self.record, self.row(0) + self.bytes + row * self.record

    def size(self):
        return 2 * (self.front + self.rows * self.record) + self.bytes + 8

def block_in(member, row):
    """The number and the length of a member's block in a row, or None."""
    _, length, first, _ = member
    block = row - first
    return (block, min(BLOCK, length - block * BLOCK)) if 0 <= block < -(-length // BLOCK) else None

def parse_front(name, raw, repo):
    """The number of a shard and its group. R-SHARD-1, 2, 3"""
    check_prefix(name, raw[:96], SHARD, repo)
    count, end = number(raw, 98, 2), 144 + 48 * number(raw, 98, 2)
    if not (1 <= count <= 200 and len(raw) >= end and blake3(raw[:end - 32]).digest() == raw[end - 32:end]):
        raise Refused(name, "the front is damaged, or of too many members, R-SHARD-1")
    group, shard = Group(raw), raw[96]
    if (not shard < group.m <= 16 or raw[104:112] != bytes(8) or any(raw[at + 45:at + 48] != bytes(3) for at in range(112, end - 32, 48))
            or not all(length for _, length, _, _ in group.members)
            or max(first + -(-length // BLOCK) for _, length, first, _ in group.members) != group.rows or group.rows > MAX_ROWS):
        raise Refused(name, "shards, zeros, lengths or rows, R-SHARD-2")
    columns = [column for _, _, _, column in group.members]
    if columns != sorted(set(columns)) or columns[-1] >= 240 or len({pack for pack, _, _, _ in group.members}) != count:
        raise Refused(name, "columns or packs are not in order, or twice, R-SHARD-3")
    return shard, group

def parse_end(name, end):
    """The length of the front."""
    size = number(end, 0, 4)
    if len(end) != 8 or end[4:] != b"PRTY" or not 144 < size <= MAX_FRONT or (size - 144) % 48:
        raise Refused(name, "the end is not that of a shard, R-SHARD-1")
    return size

def parse_record(name, group, row, record):
    """The checksums of members, None where there is no block, and of shards. R-SHARD-4"""
    sums = [record[at:at + SUM] for at in range(0, len(record) - SUM, SUM)]
    if len(record) != group.record or blake3(group.id + le(row, 4) + record[:-SUM]).digest()[:SUM] != record[-SUM:]:
        raise Refused(name, f"the checksums of row {row} are damaged, R-SHARD-4")
    has_block = [block_in(member, row) is not None for member in group.members]
    if any(sum != bytes(SUM) and not has for sum, has in zip(sums, has_block)):
        raise Refused(name, f"row {row} has a checksum without a block, R-SHARD-4")
    return [sum if has else None for sum, has in zip(sums, has_block)], sums[group.n:]

def read_front(repo, name):
    with repo.store.open(name) as (fd, size):
        try:
            return parse_front(name, repo.store.part(name, fd, 0, min(size, MAX_FRONT)), repo)
        except Refused as e:
            if size < 8 or isinstance(e, Final):
                raise
            with contextlib.suppress(Refused):
                length = parse_end(name, repo.store.part(name, fd, size - 8, 8))
                return parse_front(name, repo.store.part(name, fd, max(0, size - 8 - length), length), repo)
            raise

class Parity:
    """The groups of a repository. Nothing that shards say is believed: a pack counts when its BLAKE3 is its name."""

    def __init__(self, repo):
        self.repo, self.groups_of, self.intact, groups = repo, {}, {}, {}
        for shard in repo.store.ids("packs/parity", "([0-9a-f]{64})[.]par"):
            name = f"packs/parity/{shard}.par"
            try:
                i, group = read_front(repo, name)
            except Refused as e:
                say(e.name, e.what)
                continue
            groups.setdefault(group.same, group).shards.setdefault(i, name)
        for group in groups.values():
            for member in group.members:
                self.groups_of.setdefault(member[0], []).append(group)

    def missing(self, domain):
        """Members of the groups of a domain that are not there. Many a pack was deleted because nothing refers to it."""
        packs = (pack for pack, groups in self.groups_of.items() if any(group.domain == domain for group in groups))
        return sorted(pack for pack in packs if not self.repo.store.exists(f"packs/data/{pack[:2]}/{pack}.pack"))

    def is_intact(self, name):
        """Is the BLAKE3 of a whole pack or shard its name? R-NAME-1"""
        if name not in self.intact:
            found = blake3()
            try:
                with self.repo.store.open(name) as (fd, size):
                    for at in range(0, size, MIB):
                        found.update(self.repo.store.part(name, fd, at, min(MIB, size - at)))
                self.intact[name] = found.hexdigest() == os.path.basename(name)[:64]
            except Refused:
                self.intact[name] = False
        return self.intact[name]

    def read(self, name, offset, size):
        try:
            with self.repo.store.open(name) as (fd, _):
                return self.repo.store.part(name, fd, offset, size)
        except Refused:
            return None

    def rebuild(self, pack):
        """Puts a pack that is not intact, bit for bit, into a temporary file that is read in its place."""
        name = f"packs/data/{pack[:2]}/{pack}.pack"
        for group in self.groups_of.get(pack, ()) if not self.is_intact(name) else ():
            member = next(member for member in group.members if member[0] == pack)
            file, found = tempfile.TemporaryFile(), blake3()
            for row in range(member[2], member[2] + -(-member[1] // BLOCK)):
                block = self.block(group, member, row)
                if block is None:
                    break
                file.write(block)
                found.update(block)
            file.flush()
            if found.hexdigest() == pack:
                self.repo.store.instead[name] = file
                self.intact[name] = True
                return True
            file.close()
        return False

    def block(self, group, wanted, row):
        """The block of a member in a row. Packs and shards that are not intact are taken for lost in all rows, and looked at
        block by block only where too much is lost so."""
        here = [(place, member, *block_in(member, row)) for place, member in enumerate(group.members) if block_in(member, row)]
        names = {member[0]: f"packs/data/{member[0][:2]}/{member[0]}.pack" for _, member, _, _ in here}
        lost = [member for _, member, _, _ in here if not self.is_intact(names[member[0]])]
        shards = [i for i, name in sorted(group.shards.items()) if self.is_intact(name)]
        if len(lost) > len(shards):
            lost, shards, sums = [], [], self.row_sums(group, row)
            if sums is None:
                return None
            for place, member, block, size in here:
                data = self.read(names[member[0]], block * BLOCK, size)
                if data is None or not self.is_intact(names[member[0]]) and block_sum(block, data) != sums[0][place]:
                    lost.append(member)
                elif member == wanted:
                    return data
            for i, name in sorted(group.shards.items()):
                data = self.read(name, group.row(row), group.row_size(row))
                if data is not None and block_sum(row, data) == sums[1][i]:
                    shards.append(i)
        return self.solve(group, wanted, row, [e for e in here if e[1] not in lost], lost, shards[:len(lost)])

    def solve(self, group, wanted, row, good, lost, shards):
        if len(shards) < len(lost):
            return None
        right = [int.from_bytes(self.read(group.shards[i], group.row(row), group.row_size(row)) or b"", "little") for i in shards]
        for _, (pack, _, _, column), block, size in good:
            data = self.read(f"packs/data/{pack[:2]}/{pack}.pack", block * BLOCK, size) or b""
            for at, i in enumerate(shards):
                right[at] ^= times(coefficient(i, column), data)
        factors = inverse_matrix(tuple(shards), tuple(member[3] for member in lost))[lost.index(wanted)]
        block = 0
        for factor, value in zip(factors, right):
            block ^= times(factor, value.to_bytes(BLOCK, "little"))
        return block.to_bytes(BLOCK, "little")[:block_in(wanted, row)[1]]

    def row_sums(self, group, row):
        for name in group.shards.values():
            for offset in group.records(row):
                record = self.read(name, offset, group.record)
                with contextlib.suppress(Refused):
                    if record is not None:
                        return parse_record(name, group, row, record)
        return None


# ---- The command line -----------------------------------------------------------------------------------------------

def parse_arguments(argv):
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--passphrase-file", metavar="F", default=argparse.SUPPRESS)
    common.add_argument("--key-file", metavar="F", default=argparse.SUPPRESS)
    parser = argparse.ArgumentParser(prog="restore.py", description="Lists and restores snapshots of a backup repository."
                                     " Packs that are missing or damaged are rebuilt from their parity groups where that is needed and"
                                     " possible, as wholes, in temporary files; the repository is never written to.",
                                     epilog="The passphrase is also taken from CONTAINERARCHIVE_PASSPHRASE.", parents=[common])
    parser.add_argument("repository", metavar="REPO")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("list", parents=[common])
    one.add_argument("--json", action="store_true")
    one = commands.add_parser("restore", parents=[common])
    one.add_argument("snapshot", metavar="SNAPSHOT", help="id, unique start of one, or latest")
    one.add_argument("--item", metavar="NAME")
    one.add_argument("--to", metavar="DIR", required=True, help="a folder, or - for the standard output")
    return parser.parse_args(argv)

def read_secrets(args):
    passphrase = os.environb.get(b"CONTAINERARCHIVE_PASSPHRASE")
    if (path := getattr(args, "passphrase_file", None)) is not None:
        with open(path, "rb") as f:
            passphrase = re.sub(rb"\r?\n\Z", b"", f.read(MIB))
    if passphrase == b"":
        raise Refused("passphrase", "is empty")
    path = getattr(args, "key_file", None)
    return passphrase, None if path is None else read_key_file(path)

def main(argv):
    args = parse_arguments(argv)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    try:
        repo = Repository(Store(args.repository), *read_secrets(args))
        return 0 if (list_snapshots if args.command == "list" else restore)(repo, args) else 1
    except Refused as e:
        say(e.name, e.what)
    except OSError as e:
        say(e.filename or args.repository, e.strerror or str(e))
    except (MemoryError, sqlite3.Error) as e:
        say(args.repository, f"memory or temporary space: {e}")
    return 1

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
