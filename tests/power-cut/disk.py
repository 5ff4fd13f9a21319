"""A disk with a cache that forgets: a file served through FUSE, for a loop device to stand on.

What is written counts as durable once it was synced. `cut` makes an image of the disk as it would be after a power cut:
everything that was synced, and of what was written since then nothing, all, a beginning, or any selection of sectors.
The file system above keeps its own dirty pages to itself, so what nobody synced is gone as well.
"""

import ctypes
import errno
import os
import shutil
import struct
import threading

SECTOR = 512
MAX_WRITE = 128 * 1024
IN_HEADER = struct.Struct("<IIQQIIIHH")
OUT_HEADER = struct.Struct("<IiQ")
GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT = 3, 4, 14, 15, 16, 17, 18, 20, 25, 26
WITHOUT_REPLY = {2, 42, 36}  # forget, batch forget, interrupt


class Disk:
    """Serves `mountpoint`, a file, with `size` bytes; its images are kept in `folder`."""

    def __init__(self, folder, mountpoint, size):
        self.size = size
        self.mountpoint = mountpoint
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.durable_path = os.path.join(folder, "durable.img")
        self.now = self._image(os.path.join(folder, "now.img"))
        self.durable = self._image(self.durable_path)
        self.pending = []
        self.syncs = 0
        self.lock = threading.Lock()
        open(mountpoint, "wb").close()
        self.device = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self.device},rootmode=100644,user_id=0,group_id=0".encode()
        if self.libc.mount(b"power-cut", mountpoint.encode(), b"fuse", 0, options):
            raise OSError(ctypes.get_errno(), "a FUSE file system cannot be mounted")
        threading.Thread(target=self._serve, daemon=True).start()

    def _image(self, path):
        image = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.truncate(image, self.size)
        return image

    def close(self):
        self.libc.umount2(self.mountpoint.encode(), 2)
        for file in (self.device, self.now, self.durable):
            os.close(file)

    def cut(self, path, random):
        """Writes the image of a power cut that happens now; returns how it was chosen."""
        with self.lock:
            kind = random.choice(["nothing", "all", "a beginning", "a selection", "a selection"])
            writes = len(self.pending)
            copy_sparse(self.durable_path, path)
            image = os.open(path, os.O_RDWR)
            kept = {"nothing": 0, "a beginning": random.randint(0, writes)}.get(kind, writes)
            for offset, data in self.pending[:kept]:
                if kind != "a selection":
                    os.pwrite(image, data, offset)
                    continue
                for at in range(0, len(data), SECTOR):
                    if random.random() < 0.5:
                        os.pwrite(image, data[at : at + SECTOR], offset + at)
            os.close(image)
            return f"{kind} of {writes} writes that were not synced"

    def _serve(self):
        while True:
            try:
                request = os.read(self.device, MAX_WRITE + 4096)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                    continue
                return
            _, opcode, unique, *_ = IN_HEADER.unpack_from(request)
            if opcode in WITHOUT_REPLY:
                continue
            with self.lock:
                try:
                    code, reply = 0, self._answer(opcode, request[IN_HEADER.size :])
                except OSError as error:
                    code, reply = -error.errno, b""
            try:
                os.write(self.device, OUT_HEADER.pack(OUT_HEADER.size + len(reply), code, unique) + reply)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    return

    def _answer(self, opcode, body):
        if opcode == INIT:
            _, minor, readahead, _ = struct.unpack_from("<IIII", body)
            return struct.pack("<IIIIHHIIHHI7I", 7, min(minor, 31), readahead, 0, 16, 16, MAX_WRITE, 1, 0, 0, 0, *[0] * 7)
        if opcode in (GETATTR, SETATTR):
            return struct.pack(
                "<QII6Q10I", 3600, 0, 0, 1, self.size, self.size // 512, 0, 0, 0, 0, 0, 0, 0o100644, 1, 0, 0, 0, 4096, 0
            )
        if opcode == OPEN:
            return struct.pack("<QIi", 1, 0, 0)
        if opcode == READ:
            _, offset, length = struct.unpack_from("<QQI", body)
            return os.pread(self.now, length, offset)
        if opcode == WRITE:
            _, offset, length = struct.unpack_from("<QQI", body)
            data = body[40 : 40 + length]
            os.pwrite(self.now, data, offset)
            self.pending.append((offset, data))
            return struct.pack("<II", len(data), 0)
        if opcode == FSYNC:
            for offset, data in self.pending:
                os.pwrite(self.durable, data, offset)
            self.pending.clear()
            self.syncs += 1
            return b""
        if opcode in (FLUSH, RELEASE):
            return b""
        if opcode == STATFS:
            return struct.pack("<QQQQQIIII6I", self.size // 4096, 0, 0, 1, 0, 4096, 255, 4096, 0, *[0] * 6)
        raise OSError(errno.ENOSYS, "not needed by a loop device")


def copy_sparse(source, target):
    """Copies the parts of a file that hold data."""
    with open(source, "rb") as old, open(target, "wb") as new:
        size = os.fstat(old.fileno()).st_size
        os.truncate(new.fileno(), size)
        at = 0
        while True:
            try:
                start = os.lseek(old.fileno(), at, os.SEEK_DATA)
            except OSError:
                return
            at = os.lseek(old.fileno(), start, os.SEEK_HOLE)
            old.seek(start)
            new.seek(start)
            shutil.copyfileobj(_Part(old, at - start), new, 1024 * 1024)


class _Part:
    """The next bytes of a file, and no more."""

    def __init__(self, file, length):
        self.file, self.left = file, length

    def read(self, size):
        data = self.file.read(min(size, self.left))
        self.left -= len(data)
        return data
