# SPDX-License-Identifier: GPL-2.0-or-later
"""One RPM → one OSTree commit, straight from the payload as a stream.

What is unpacked is what was verified: header, signature and digests are read from the one descriptor.
The commit is a pure function of the RPM, and of the policy that its files have the labels of, if any. Owners' names are
not resolved here, for ids are only known in the root that the package goes into. Directories get their labels there,
too. Which files a treefile leaves out is decided there as well.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rpmtree.errors import FetchError, StoreError
from rpmtree.ostree import objects, tree
from rpmtree.ostree.objects import FileMeta, Xattrs, labelled
from rpmtree.ostree.selinux import Labeller
from rpmtree.ostree.store import Staging
from rpmtree.ostree.variant import Variant
from rpmtree.pkgcache.choices import USUAL, ImportChoices
from rpmtree.pkgcache.paths import MAX_PATH, Fate, checked, place, tmpfiles_line
from rpmtree.rpm import package as headers
from rpmtree.rpm.capabilities import capability_xattr
from rpmtree.rpm.features import missing_features
from rpmtree.rpm.filesignatures import XATTR as SIGNATURE
from rpmtree.rpm.filesignatures import signatures_of
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.package import File, Package
from rpmtree.rpm.payload import Entry, PayloadReader
from rpmtree.rpm.signatures import Verifier

#: A change in what the importer makes of an RPM; older commits are imported anew.
IMPORT_VERSION = 3
#: Commit metadata: the checksum of the policy that files are labelled by, or empty.
POLICY = "strata.policy"
TMPFILES_DIRECTORY = "usr/lib/rpm-ostree/tmpfiles.d"
_IN_MEMORY = 1 << 20
_DIGESTS = {1: "md5", 2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224"}


@dataclass(frozen=True, slots=True)
class Job:
    """An RPM to import. `checksum` is that of the whole file ("sha256:HEX"), or empty if none is known."""

    path: str
    nevra: Nevra
    checksum: str
    gpgcheck: bool
    #: Names the set of keys that the package was checked against; empty without gpgcheck.
    keys: str = ""
    choices: ImportChoices = USUAL


@dataclass(slots=True)
class _Unpacking:
    """A package while it is unpacked."""

    staging: Staging
    name: str
    choices: ImportChoices = USUAL
    labeller: Labeller | None = None
    #: IMA signatures of files, by path.
    signatures: Mapping[str, bytes] = field(default_factory=dict)
    root: tree.Directory = field(default_factory=tree.Directory)
    tmpfiles: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    #: The digest that each file is checked by, where the payload as a whole has none.
    each: str | None = None
    #: Names without data of their own: it comes with another name of the same link group.
    linked: list[tuple[str | None, File]] = field(default_factory=list)
    #: The object of each link group whose data has come, and the name that it came with.
    contents: dict[int, tuple[bytes, File]] = field(default_factory=dict)
    #: Link group → its last name, which has the data where entries don't say their size.
    last: dict[int, str] = field(default_factory=dict)
    #: Link group → the place of the first name that has one, for the label of them all.
    first: dict[int, str] = field(default_factory=dict)


def import_rpm(job: Job, verifier: Verifier, staging: Staging, labeller: Labeller | None = None) -> bytes:
    """Stage the commit of one RPM; gives its checksum. Raises FetchError, StoreError, ToolError."""
    try:
        fd = os.open(job.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise FetchError(f"{job.path} can't be read: {error.strerror}") from error
    try:
        header = verifier.read_header(fd, name=str(job.nevra), gpgcheck=job.gpgcheck)
        lead = os.pread(fd, os.lseek(fd, 0, os.SEEK_CUR), 0)
        found = headers.nevra_of(header)
        if found != job.nevra:
            raise FetchError(f"{job.path} is {found}, not {job.nevra} as the repository says")
        package = _read_header(header, str(job.nevra))
        unpacking = _Unpacking(staging, str(job.nevra), job.choices, labeller)
        if job.choices.ima:
            unpacking.signatures = _signatures(unpacking, header, package)
        files = _placed(unpacking, package.files)
        _unpack(unpacking, fd, header, files, _whole_file(job, lead))
    finally:
        os.close(fd)
    _write_tmpfiles(unpacking, job.nevra.name)
    written = tree.write(staging, unpacking.root)
    value = objects.Commit(written.tree, written.meta, package.build_time, _metadata(job, package.header, unpacking))
    return staging.add_metadata(objects.Kind.COMMIT, objects.commit(value))


def import_checked(job: Job, verifier: Verifier, staging: Staging, labeller: Labeller | None = None) -> bytes:
    """As `import_rpm`; a failure to read or write is a StoreError that names the package."""
    try:
        return import_rpm(job, verifier, staging, labeller)
    except OSError as error:
        raise StoreError(f"{job.nevra}: {error}") from error


def _read_header(header: Any, name: str) -> Package:
    """The header as a value. Read whole, so that nothing in it comes as a surprise later. Raises FetchError."""
    try:
        package = headers.from_header(header)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise FetchError(f"{name} is refused: parts of its header don't belong together") from error
    nevra = package.nevra
    # Parts of file names, of lines and of branches: rpmbuild allows still less.
    parts = nevra.name, nevra.version, nevra.release, nevra.arch
    if not all(re.fullmatch("[!-.0-~]{1,128}", part) for part in parts):
        raise FetchError(f"{name!r} is refused: a part of its name is empty, too long, or has characters that none has")
    if missing := missing_features(header):
        raise FetchError(f"{name} is refused: it wants of rpm what rpm here has not: {', '.join(missing)}")
    return package


def _signatures(unpacking: _Unpacking, header: Any, package: Package) -> Mapping[str, bytes]:
    try:
        return signatures_of(header, package.files)
    except (TypeError, ValueError) as error:
        raise FetchError(f"{unpacking.name} is refused: IMA signatures of its files can't be read: {error}") from error


def _whole_file(job: Job, lead: bytes) -> tuple[Any, str] | None:
    """A digest that has seen the file up to its payload, and what it must come to."""
    kind, _, expected = job.checksum.partition(":")
    return (hashlib.new(kind, lead), expected) if expected else None


def _placed(unpacking: _Unpacking, files: Sequence[File]) -> dict[bytes, tuple[File, str | None, int]]:
    """The files that the payload must hold, by name: the file, its place (None: nowhere), its index."""
    expected: dict[bytes, tuple[File, str | None, int]] = {}
    for index, file in enumerate(files):
        if file.path == "/" and file.is_dir:
            continue  # the package filesystem owns it
        try:
            relative = checked(file.path)
        except ValueError as error:
            raise FetchError(f"{unpacking.name} is refused: its path {file.path!r} {error}") from None
        if file.is_ghost:
            continue
        kind = stat.S_IFMT(file.mode)
        if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
            if not relative.startswith("dev/"):
                raise FetchError(f"{unpacking.name} is refused: {file.path} is a device, a pipe or a socket")
            continue
        _check(unpacking, file)
        if file.link_group:
            unpacking.last[file.link_group] = file.path
        name = relative.encode("utf-8", "surrogateescape")
        if name in expected:
            raise FetchError(f"{unpacking.name} is refused: it has two files at {file.path}")
        path = _put(unpacking, relative, file)
        if file.link_group and path is not None:
            unpacking.first.setdefault(file.link_group, path)
        expected[name] = file, path, index
    return expected


def _check(unpacking: _Unpacking, file: File) -> None:
    """Refuse what could not be stored."""
    try:
        if stat.S_ISLNK(file.mode) and not 0 < len(file.target.encode()) < MAX_PATH:
            raise FetchError(f"{unpacking.name} is refused: the target of {file.path} is empty or too long")
        if file.caps:
            capability_xattr(file.caps)
    except UnicodeEncodeError:
        raise FetchError(f"{unpacking.name} is refused: the target of {file.path} is not UTF-8") from None
    except ValueError as error:
        raise FetchError(f"{unpacking.name} is refused: capabilities of {file.path}: {error}") from None


def _put(unpacking: _Unpacking, relative: str, file: File) -> str | None:
    """Make the directory, or note the line, that needs no content; gives the place of what does."""
    placement = place(relative)
    if placement.fate is Fate.TMPFILES:
        if not stat.S_ISREG(file.mode):
            unpacking.tmpfiles.append(tmpfiles_line(placement.path, file.mode, file.user, file.group, file.target))
        return None
    if placement.fate is not Fate.KEEP:
        if placement.fate is Fate.UNSUPPORTED:
            unpacking.unsupported.append(file.path)
        return None
    if file.is_dir:
        _directory(unpacking, placement.path).meta = objects.dirmeta(file.mode | 0o200)
    return placement.path


def _directory(unpacking: _Unpacking, path: str) -> tree.Directory:
    try:
        return unpacking.root.make(path)
    except NotADirectoryError:
        raise FetchError(f"{unpacking.name} is refused: it has files below /{path}, which is not a directory") from None


def _unpack(
    unpacking: _Unpacking,
    fd: int,
    header: Any,
    expected: dict[bytes, tuple[File, str | None, int]],
    whole: tuple[Any, str] | None,
) -> None:
    algorithm, wanted = header["PAYLOADDIGESTALGO"], header["PAYLOADDIGEST"]
    payload = hashlib.new(_DIGESTS.get(algorithm, "sha256"))
    reader = PayloadReader(
        fd, _string(header["PAYLOADCOMPRESSOR"]), (payload, whole[0]) if whole else (payload,), unpacking.name
    )
    # Packages from before rpm 4.14 have no digest of the payload; each file's own is checked instead.
    unpacking.each = None if wanted else _DIGESTS.get(header["FILEDIGESTALGO"] or 1, "md5")
    by_index = {index: name for name, (_, _, index) in expected.items()}
    for entry in reader:
        name = by_index.get(entry.index, b"") if entry.index is not None else _entry_name(entry)
        found = expected.pop(name, None)
        if found is None:
            if name and not (stat.S_IFMT(entry.mode) in (stat.S_IFCHR, stat.S_IFBLK) and name.startswith(b"dev/")):
                raise FetchError(f"{unpacking.name} is refused: its payload holds {name!r}, its header does not")
            continue
        _take(unpacking, reader, entry, found[0], found[1])
    reader.finish()
    if wanted and payload.hexdigest() != _string(wanted[0]):
        raise FetchError(f"the payload of {unpacking.name} is not what its header was made for")
    if whole and whole[0].hexdigest() != whole[1]:
        raise FetchError(f"{unpacking.name} is not the file that the repository's metadata describes")
    if expected:
        raise FetchError(f"the payload of {unpacking.name} lacks {min(expected)!r}")
    _link(unpacking)


def _entry_name(entry: Entry) -> bytes:
    name = entry.name or b""
    return name[2:] if name.startswith(b"./") else name[1:] if name.startswith(b"/") else name


def _take(unpacking: _Unpacking, reader: PayloadReader, entry: Entry, file: File, path: str | None) -> None:
    """Take one entry's data into the tree; `path` None drops it."""
    if entry.index is None and entry.mode != file.mode:
        raise FetchError(f"{unpacking.name} is refused: header and payload disagree on the mode of {file.path}")
    if stat.S_ISDIR(file.mode):
        return
    if stat.S_ISLNK(file.mode):
        target = file.target.encode()
        if entry.index is not None:
            reader.begin(file.size)
        if reader.read(len(target)) != target:
            raise FetchError(f"{unpacking.name} is refused: header and payload disagree on the link {file.path}")
        if path is not None:
            meta = FileMeta(mode := stat.S_IFLNK | 0o777, target=file.target, xattrs=_labelled(unpacking, path, mode))
            _add(unpacking, path, unpacking.staging.add_link(meta))
        return
    if not _has_data(unpacking, reader, entry, file):
        unpacking.linked.append((path, file))
        return
    if path is None and not file.link_group:
        while reader.read(_IN_MEMORY):
            pass
        return
    checksum = _content(unpacking, reader, file, _file_meta(unpacking, file, path))
    if file.link_group:
        unpacking.contents[file.link_group] = checksum, file
    if path is not None:
        _add(unpacking, path, checksum)


def _has_data(unpacking: _Unpacking, reader: PayloadReader, entry: Entry, file: File) -> bool:
    """Whether the entry of a regular file has its data, and not another name of the same file."""
    if entry.index is not None:
        has = unpacking.last.get(file.link_group, file.path) == file.path
        reader.begin(file.size if has else 0)
        return has
    if entry.size == 0 and entry.links > 1 and file.link_group:
        return False
    if entry.size != file.size:
        raise FetchError(f"{unpacking.name} is refused: header and payload disagree on the size of {file.path}")
    return True


def _link(unpacking: _Unpacking) -> None:
    """Give the names without data the object that the data of their link group made."""
    for path, file in unpacking.linked:
        checksum, source = unpacking.contents.get(file.link_group, (None, file))
        if (checksum is None and file.size) or (file.size, file.digest) != (source.size, source.digest):
            raise FetchError(f"{unpacking.name} is refused: header and payload disagree on the links of {file.path}")
        if path is not None:
            # Empty files have no data in any of their names.
            _add(unpacking, path, checksum or unpacking.staging.add_file(_file_meta(unpacking, file, path), b""))


def _content(unpacking: _Unpacking, reader: PayloadReader, file: File, meta: FileMeta) -> bytes:
    digest = hashlib.new(unpacking.each) if unpacking.each else None
    if file.size <= _IN_MEMORY:
        data = reader.read()
        if digest:
            digest.update(data)
        checksum = unpacking.staging.add_file(meta, data)
    else:

        def read(limit: int) -> bytes:
            data = reader.read(limit)
            if digest:
                digest.update(data)
            return data

        checksum = unpacking.staging.add_stream(meta, read)
    if digest and digest.hexdigest() != file.digest:
        raise FetchError(f"{unpacking.name}: {file.path} is not what the header was made for")
    return checksum


def _file_meta(unpacking: _Unpacking, file: File, path: str | None) -> FileMeta:
    xattrs = []
    if file.caps:
        xattrs.append((b"security.capability", capability_xattr(file.caps)))
    if file.path in unpacking.signatures:
        xattrs.append((SIGNATURE, unpacking.signatures[file.path]))
    named = unpacking.first.get(file.link_group, path)
    return FileMeta(unpacking.choices.mode(file.mode), xattrs=_labelled(unpacking, named, file.mode, xattrs))


def _labelled(unpacking: _Unpacking, path: str | None, mode: int, xattrs: Iterable[tuple[bytes, bytes]] = ()) -> Xattrs:
    """Attributes with the label of a path in the package's tree (no leading slash), if there are labels."""
    if unpacking.labeller is None or path is None:
        return tuple(xattrs)
    return labelled(xattrs, unpacking.labeller.label_in_root(f"/{path}", mode))


def _add(unpacking: _Unpacking, path: str, checksum: bytes) -> None:
    parent, _, name = path.rpartition("/")
    directory = _directory(unpacking, parent)
    if name in directory.dirs or name in directory.files:
        raise FetchError(f"{unpacking.name} is refused: it has two different things at /{path}")
    directory.files[name] = checksum


def _write_tmpfiles(unpacking: _Unpacking, name: str) -> None:
    opt = unpacking.root.directory("usr/lib/opt")
    for below in [*opt.dirs, *opt.files] if opt else ():
        unpacking.tmpfiles.append(tmpfiles_line(f"opt/{below}", 0, "", "", f"../../usr/lib/opt/{below}"))
    if unpacking.tmpfiles:
        text = "".join(f"{line}\n" for line in sorted(unpacking.tmpfiles))
        path = f"{TMPFILES_DIRECTORY}/{name}.conf"
        meta = FileMeta(mode := stat.S_IFREG | 0o644, xattrs=_labelled(unpacking, path, mode))
        _add(unpacking, path, unpacking.staging.add_file(meta, text.encode("utf-8", "surrogateescape")))


def _metadata(job: Job, header: bytes, unpacking: _Unpacking) -> dict[str, Variant]:
    nevra = job.nevra
    return {
        "rpmostree.nevra": Variant(
            "(sstsss)", (str(nevra), nevra.name, nevra.epoch, nevra.version, nevra.release, nevra.arch)
        ),
        "rpmostree.repodata_checksum": Variant("s", job.checksum),
        "strata.header": Variant("ay", header),
        "strata.import-version": Variant("u", IMPORT_VERSION),
        "strata.keys": Variant("s", job.keys),
        POLICY: Variant("s", unpacking.labeller.policy.checksum if unpacking.labeller is not None else ""),
        "strata.tree": Variant("ay", tree.pack(unpacking.root)),
        "strata.unsupported": Variant("as", sorted(unpacking.unsupported)),
    }


def _string(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")
